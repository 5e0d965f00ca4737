"""Rows of a CSV file: a head with the columns' names, then a line for each row."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from training.data.own.frame import Frame
from training.data.own.lines import line_chunks
from training.errors import DataInvalid

QUOTE = '"'


def csv_frames(path: Path, columns: Sequence[str], separator: str) -> Iterator[Frame]:
    """Give the rows; a quoted cell ends on its line, and an empty line is no row where rows have several cells.

    Raises:
        DataInvalid: the file cannot be read, or its head lacks a column.
    """
    head: list[str] = []
    for first, lines in line_chunks(path):
        rows, places = lines, pl.arange(first, first + len(lines), eager=True)
        if not head:
            head = _head(path, lines[0], columns, separator)
            rows, places = rows[1:], places[1:]
        if len(head) > 1:
            kept = rows != ""
            rows, places = rows.filter(kept), places.filter(kept)
        yield _frame(rows, places, head, columns, separator)


def _head(path: Path, line: str, columns: Sequence[str], separator: str) -> list[str]:
    head = _cells(line, separator) or []
    for column in columns:
        if (count := head.count(column)) != 1:
            what = f"has no column '{column}'" if not count else f"has {count} columns '{column}'"
            raise DataInvalid(f"'{path}' {what}; its head is {', '.join(head)}")
    return head


def _frame(rows: pl.Series, places: pl.Series, head: list[str], columns: Sequence[str], separator: str) -> Frame:
    if rows.str.contains(QUOTE, literal=True).any():
        cells = pl.Series([_cells(row, separator) for row in rows], dtype=pl.List(pl.String))
    else:
        cells = rows.str.split(separator)
    table = pl.DataFrame({column: cells.list.get(head.index(column), null_on_oob=True) for column in columns})
    return Frame(places, table.with_columns(pl.all().replace("", None)), _wrong(cells, len(head)))


def _cells(line: str, separator: str) -> list[str] | None:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True), [""])
    except csv.Error:
        return None


def _wrong(cells: pl.Series, width: int) -> pl.Series:
    count = cells.list.len()
    return pl.select(
        pl.when(count.is_null())
        .then(pl.lit("has a quote that is not closed, or closed too early"))
        .when(count != width)
        .then(pl.format("has {} cells where the head has {}", count, pl.lit(width)))
    ).to_series()
