"""The table of published data sets: what each is for, its licence, its citation, where its files come from."""

import hashlib
import itertools
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from training.data.content import sha256

TABLE = Path(__file__).with_name("sets.toml")

Change = Literal["", "pack", "first bytes", "images to idx"]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a set.

    Attributes:
        path: where it is in the set's folder.
        bytes: the length of its content, that of a `.gz` unpacked; 0 where it is not known.
        sha256: the sum of the same content; empty where only a listing has one.
        source: its path in the repository, with `{}` for the number of a piece; empty where it is folder/path.
        pieces: how many files of the repository it is made of.
        change: what is done to what was downloaded.
    """

    path: str
    bytes: int = 0
    sha256: str = ""
    source: str = ""
    pieces: int = 1
    change: Change = ""


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many small files with one sum: `path` filled with every choice of `each`."""

    sha256: str
    path: str
    each: tuple[tuple[str, ...], ...]

    def paths(self) -> list[str]:
        """Give every path, in order."""
        return sorted(self.path.format(*choice) for choice in itertools.product(*self.each))

    def matches(self, folder: Path) -> bool:
        """Tell whether all files are in a folder and are what was published."""
        try:
            lines = "".join(f"{sha256(folder / path)}  {path}\n" for path in self.paths())
        except OSError:
            return False
        return hashlib.sha256(lines.encode()).hexdigest() == self.sha256


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A commit of a public repository, and the files that come from it."""

    repository: str
    commit: str
    folder: str
    files: tuple[File, ...] = ()
    listing: Listing | None = None

    def all_files(self) -> Iterator[File]:
        """Give every file, listed ones too."""
        yield from self.files
        yield from (File(path) for path in (self.listing.paths() if self.listing else ()))

    def addresses(self, file: File) -> list[str]:
        """Give the paths of a file's pieces below the address that all repositories share."""
        path = file.source or f"{self.folder}/{file.path}".lstrip("/")
        return [f"{self.repository}/{self.commit}/{path.format(piece)}" for piece in range(file.pieces)]


class DataSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published set; `counts` are of its parts as released, `split` is the rule that parts it here."""

    task: str
    counts: str
    split: str
    licence: str
    citation: str
    sources: tuple[Source, ...]

    def paths(self) -> list[str]:
        """Give the path of every file in the set's folder."""
        return [file.path for source in self.sources for file in source.all_files()]


@cache
def published() -> dict[str, DataSet]:
    """Read the table."""
    return msgspec.toml.decode(TABLE.read_bytes(), type=dict[str, DataSet])


def is_right(path: Path, file: File) -> bool:
    """Tell whether a file is there and its content is what was published."""
    try:
        return sha256(path) == file.sha256
    except (OSError, EOFError, zlib.error):
        return False
