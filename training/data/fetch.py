"""A published set brought to this machine: every file resumed, checked, then put in place at once."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import urllib3
from PIL import UnidentifiedImageError

from training.data.change import change
from training.data.download import download, open_pool
from training.data.sets import DataSet, File, Source, is_right
from training.errors import FetchFailed

# Where GitHub has the files of public repositories, as REPOSITORY/COMMIT/PATH.
PUBLIC = "https://raw.githubusercontent.com"

# Told of a file, how many of its bytes are there, and of how many.
Shown = Callable[[str, int, int | None], None]


def fetch(data_set: DataSet, folder: Path, mirror: str, shown: Shown) -> None:
    """Bring a set's files that are not in its folder yet, or are not what was published.

    Raises:
        FetchFailed: one could not be brought; what came is kept, and the same call goes on from there.
    """
    with open_pool(mirror) as pool:
        for source in data_set.sources:
            Fetcher(pool, mirror.rstrip("/"), folder, shown).bring(source)


class Fetcher:
    """Brings the files of one set to its folder."""

    def __init__(self, pool: urllib3.PoolManager, mirror: str, folder: Path, shown: Shown) -> None:
        self._pool, self._mirror, self._folder, self._shown = pool, mirror, folder, shown

    def bring(self, source: Source) -> None:
        """Bring all files of a source."""
        for file in source.files:
            if not is_right(self._folder / file.path, file):
                self._bring(source, file)
        if source.listing and not source.listing.matches(self._folder):
            self._bring_listed(source, source.listing.paths(), source.listing.matches)

    def _bring_listed(self, source: Source, paths: list[str], matches: Callable[[Path], bool]) -> None:
        for path in paths:
            if not (self._folder / path).is_file():
                self._bring(source, File(path))
        if not matches(self._folder):
            # Their one sum does not tell which of them is wrong.
            for path in paths:
                (self._folder / path).unlink()
            raise FetchFailed(f"the {len(paths)} files of '{source.repository}' are not those published; {_REMOVED}")

    def _bring(self, source: Source, file: File) -> None:
        path = self._folder / file.path
        pieces = [path.with_name(f".{path.name}.{piece}.part") for piece in range(file.pieces)]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for address, piece in zip(source.addresses(file), pieces, strict=True):
                download(self._pool, f"{self._mirror}/{address}", piece, lambda *moved: self._shown(file.path, *moved))
            self._put(file, pieces, path)
        except OSError as error:
            raise FetchFailed(f"'{path}' cannot be written: {error.strerror or error}") from error

    def _put(self, file: File, pieces: list[Path], path: Path) -> None:
        # Of the same ending, which tells whether it is packed.
        made = path.with_name(f".new.{path.name}")
        with suppress(UnidentifiedImageError):
            change(file, pieces, made)
        for piece in pieces:
            piece.unlink(missing_ok=True)
        if file.sha256 and not is_right(made, file):
            made.unlink(missing_ok=True)
            raise FetchFailed(f"'{file.path}' is not what was published, its sha256 is another; {_REMOVED}")
        made.replace(path)


_REMOVED = "it was removed: try again, or another `--mirror`"
