"""What is wrong with the cells of rows."""

from collections.abc import Iterator

import polars as pl

from training.data.own.frame import Frame
from training.data.own.settings import TableData
from training.data.series import PARTS
from training.errors import DataInvalid

# Characters of a cell that an error shows.
SHOWN = 40


def wrong_with(frame: Frame, data: TableData) -> pl.Series:
    """Say of each row the first thing that is wrong with it, null where nothing is.

    Raises:
        DataInvalid: a column has no numbers by its type, but dates or lists.
    """
    for column in data.numbers:
        kind = frame.cells.schema[column]
        if not (kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Null)):
            raise DataInvalid(f"column '{column}' of '{data.path}' is of type {kind}; numbers are expected")
    return frame.cells.select(pl.coalesce(frame.wrong, *_reasons(data))).to_series()


def number(column: str) -> pl.Expr:
    """Give a column as FP32, null where a cell is no number."""
    return pl.col(column).cast(pl.Float64, strict=False).cast(pl.Float32)


def _reasons(data: TableData) -> Iterator[pl.Expr]:
    for column in data.columns:
        yield pl.when(pl.col(column).is_null()).then(pl.lit(f"'{column}' is missing"))
    for column in data.numbers:
        yield _say(column, number(column).is_null(), "no number")
        yield _say(column, ~number(column).is_finite(), "no finite number")
    for column, allowed in ((data.split, PARTS), (data.targets[0] if data.classes else "", data.classes)):
        if column:
            yield _say(column, ~pl.col(column).cast(pl.String).is_in(allowed), f"none of {', '.join(allowed)}")


def _say(column: str, wrong: pl.Expr, what: str) -> pl.Expr:
    shown = pl.col(column).cast(pl.String).str.replace_all(r"\s+", " ").str.slice(0, SHOWN)
    return pl.when(wrong).then(pl.format("'{}' is {}: '{}'", pl.lit(column), pl.lit(what), shown))
