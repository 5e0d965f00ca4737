"""The lines of a text file of any size, a few megabytes at a time."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from training.errors import DataInvalid

CHUNK_BYTES = 1 << 22


def line_chunks(path: Path) -> Iterator[tuple[int, pl.Series]]:
    """Give lines without their ends, with the number of the first, from 1.

    Raises:
        DataInvalid: the file cannot be read, is not UTF-8, or has a line of several megabytes.
    """
    number, rest = 1, b""
    for data in _chunks(path):
        whole, newline, rest = (rest + data).rpartition(b"\n")
        if newline:
            lines = _decode(whole, path, number)
            yield number, lines
            number += len(lines)
        elif len(rest) > CHUNK_BYTES:
            raise DataInvalid(f"'{path}' line {number} is longer than {CHUNK_BYTES} bytes; is it text?")
    if rest:
        yield number, _decode(rest, path, number)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield file.read(CHUNK_BYTES).removeprefix(b"\xef\xbb\xbf")
            while data := file.read(CHUNK_BYTES):
                yield data
    except OSError as error:
        raise DataInvalid(f"'{path}' cannot be read: {error.strerror}") from error


def _decode(data: bytes, path: Path, number: int) -> pl.Series:
    try:
        return pl.Series(data.decode().split("\n"), dtype=pl.String).str.strip_suffix("\r")
    except UnicodeDecodeError as error:
        line = number + data[: error.start].count(b"\n")
        raise DataInvalid(f"'{path}' line {line} is not UTF-8 text; convert the file") from error
