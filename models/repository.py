"""The repository of built models: folders `NAME/VERSION/`, each published whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec

from models.errors import ManifestInvalid, ModelDamaged, ModelMissing
from models.manifest import FILE, Manifest, check_file_name, check_name

DEFAULT = Path(__file__).parent / "built"

_STAGING = ".publishing-"


@dataclass(frozen=True, slots=True, order=True)
class ModelVersion:
    """A model version's place in the repository, before anything in it is read."""

    name: str
    version: int
    folder: Path


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model read whole, its files checked against the manifest's digests."""

    manifest: Manifest
    files: dict[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(data) for data in self.files.values())


@final
class Repository:
    """A folder of models; readers need no lock, since a version appears by one rename."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self) -> list[ModelVersion]:
        """All versions, by name and number; a repository that does not exist is empty."""
        return sorted(self._versions())

    def _versions(self) -> Iterator[ModelVersion]:
        for model in _folders(self.root):
            if model.name.startswith("."):
                continue
            for folder in _folders(model):
                if folder.name.isdecimal() and str(int(folder.name)) == folder.name:
                    yield ModelVersion(model.name, int(folder.name), folder)

    def find(self, name: str, version: int | None = None) -> ModelVersion:
        """Find a version, the newest by default; raises ModelMissing."""
        versions = [found for found in self.list() if found.name == name]
        if not versions:
            raise ModelMissing(f"no model '{name}' in {self.root}")
        if version is None:
            return versions[-1]
        for found in versions:
            if found.version == version:
                return found
        there = ", ".join(str(found.version) for found in versions)
        raise ModelMissing(f"model '{name}' has no version {version} in {self.root}; it has {there}")

    def read_manifest(self, place: ModelVersion) -> Manifest:
        """Read and check one manifest; raises ManifestInvalid or ModelDamaged."""
        try:
            manifest = Manifest.decode_json((place.folder / FILE).read_bytes())
        except OSError as error:
            raise ModelDamaged(f"{FILE} of '{place.name}' {place.version} cannot be read: {error.strerror}") from error
        _check_place(manifest, place.name, place.version)
        return manifest

    def open(self, place: ModelVersion) -> OpenModel:
        """Read a version whole; raises ManifestInvalid, or ModelDamaged with the file that differs."""
        manifest = self.read_manifest(place)
        return OpenModel(
            manifest, {name: _read(place.folder / name, digest) for name, digest in manifest.files.items()}
        )

    def publish(
        self, name: str, files: dict[str, Path], describe: Callable[[int, dict[str, str]], Manifest]
    ) -> ModelVersion:
        """Add the next version of a model: copy `files`, write the manifest, rename into place.

        Args:
            name: the model's name.
            files: the model's files by their names in the version's folder.
            describe: builds the manifest from the version number and the digests of the files.

        Raises:
            ManifestInvalid: the name, a file's name or the manifest breaks the contract; nothing is published.
        """
        _check_publishable(name, files)
        self.root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.root))
        try:
            digests = {file: _copy(source, staging / file) for file, source in files.items()}
            return self._rename(staging, name, lambda version: describe(version, digests))
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _rename(self, staging: Path, name: str, describe: Callable[[int], Manifest]) -> ModelVersion:
        """Take the next free number; another job may take it first, then the one after is tried."""
        version = max((found.version for found in self.list() if found.name == name), default=0)
        while True:
            version += 1
            target = self.root / name / str(version)
            manifest = _checked(describe(version))
            _check_place(manifest, name, version)
            _write(staging / FILE, manifest.encode_json())
            staging.chmod(0o755)
            _sync(staging)
            target.parent.mkdir(exist_ok=True)
            try:
                staging.rename(target)
            except OSError:
                if not target.exists():
                    raise
                continue
            _sync(target.parent)
            return ModelVersion(name, version, target)


def digest_of(data: bytes) -> str:
    """Give the digest of a file's bytes as manifests write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _folders(parent: Path) -> list[Path]:
    """The folders in `parent`; none where it cannot be read or is gone, as a folder just renamed is."""
    try:
        with os.scandir(parent) as entries:
            return [parent / entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []


def _check_place(manifest: Manifest, name: str, version: int) -> None:
    if (manifest.name, manifest.version) != (name, version):
        wrong = f"'{manifest.name}' {manifest.version}"
        raise ManifestInvalid(f"manifest: says it is {wrong}, in the folder of '{name}' {version}")


def _check_publishable(name: str, files: Iterable[str]) -> None:
    try:
        check_name(name)
        for file in files:
            check_file_name(file)
    except ValueError as error:
        raise ManifestInvalid(str(error)) from error


def _checked(manifest: Manifest) -> Manifest:
    """Read back what will be read: a manifest built in code is held to the same rules."""
    return Manifest.decode_json(msgspec.json.encode(manifest))


def _read(path: Path, digest: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelDamaged(f"{path.name} cannot be read: {error.strerror}") from error
    if digest_of(data) != digest:
        raise ModelDamaged(f"{path.name} is not the file that was published: its digest differs from the manifest's")
    return data


def _copy(source: Path, target: Path) -> str:
    data = source.read_bytes()
    _write(target, data)
    return digest_of(data)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
