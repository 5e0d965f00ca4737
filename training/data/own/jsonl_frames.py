"""Rows of a JSONL file: an object for each line; an empty line is no row."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import polars as pl

from training.data.own.frame import Frame
from training.data.own.lines import line_chunks

_DECODER = msgspec.json.Decoder()


def jsonl_frames(path: Path, columns: Sequence[str]) -> Iterator[Frame]:
    """Give the rows, cells as text; raises DataInvalid where the file cannot be read."""
    for first, lines in line_chunks(path):
        kept = lines.str.strip_chars() != ""
        values = [_decode(line) for line in lines.filter(kept)]
        objects = [value if isinstance(value, dict) else {} for value in values]
        cells = {column: [_as_text(one.get(column)) for one in objects] for column in columns}
        wrong = [value if isinstance(value, str) else None for value in values]
        yield Frame(
            pl.arange(first, first + len(lines), eager=True).filter(kept),
            pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String)),
            pl.Series(wrong, dtype=pl.String),
        )


def _decode(line: str) -> dict[str, object] | str:
    """Give a line's object, or what is wrong with it."""
    try:
        value = _DECODER.decode(line)
    except msgspec.DecodeError:
        return "is no JSON"
    return value if isinstance(value, dict) else "is no JSON object"


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()
