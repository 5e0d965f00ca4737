"""Rows of a Parquet file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from training.data.own.frame import Frame
from training.errors import DataInvalid

ROWS = 1 << 16


def parquet_frames(path: Path, columns: Sequence[str]) -> Iterator[Frame]:
    """Give the rows, cells in the file's types; raises DataInvalid where it cannot be read or lacks a column."""
    first = 1
    try:
        table = pl.scan_parquet(path, glob=False)
        there = table.collect_schema().names()
        if missing := [column for column in columns if column not in there]:
            raise DataInvalid(f"'{path}' has no column '{missing[0]}'; there is {', '.join(there)}")
        for cells in table.select(columns).collect_batches(chunk_size=ROWS, maintain_order=True):
            places = pl.arange(first, first + len(cells), eager=True)
            yield Frame(places, cells, pl.Series([None] * len(cells), dtype=pl.String))
            first += len(cells)
    except (PolarsError, OSError) as error:
        raise DataInvalid(f"'{path}' cannot be read: {str(error).splitlines()[0]}") from error
