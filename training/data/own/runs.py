"""Rows that follow each other in one sequence, in the order of its time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.own.checks import number, wrong_with
from training.data.own.frame import Frame
from training.data.own.order import Order
from training.data.own.settings import TableData
from training.data.series import Floats, Indices

# Between the parts of a key; no cell has it.
BETWEEN = "\x1f"


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Rows of one sequence, or some: inputs FP32 `[rows, features]`, targets FP32 `[rows, …]` or INT64 `[rows]`."""

    key: str
    inputs: Floats
    targets: Floats | Indices

    def __len__(self) -> int:
        return len(self.inputs)

    def cut(self, start: int, end: int) -> "Run":
        """Give some of the rows."""
        return Run(self.key, self.inputs[start:end], self.targets[start:end])


@dataclass(slots=True)
class Bad:
    """How many rows cannot be used, and why the first of them cannot."""

    count: int = 0
    place: int = 0
    reason: str = ""

    def note(self, places: pl.Series, reasons: pl.Series) -> None:
        """Count rows that cannot be used."""
        if len(places) and (not self.count or places[0] < self.place):
            self.place, self.reason = places[0], reasons[0]
        self.count += len(places)


@dataclass(slots=True)
class Runs:
    """Finds the runs of frames that come one after another; rows that cannot be used are counted and left out."""

    data: TableData
    bad: Bad = field(default_factory=Bad)
    _order: Order = field(default_factory=Order)

    def of(self, frame: Frame) -> Iterator[Run]:
        """Give the runs of the next frame; raises DataInvalid where a column has no numbers by its type."""
        wrong = wrong_with(frame, self.data)
        good = wrong.is_null()
        self.bad.note(frame.places.filter(~good), wrong.drop_nulls())
        cells, places = frame.cells.filter(good), frame.places.filter(good)
        keys = _keys(cells, self.data)
        times = cells[self.data.time] if self.data.time else None
        reasons = self._order.wrong_with(keys, times)
        good = reasons.is_null()
        self.bad.note(places.filter(~good), reasons.drop_nulls())
        return _cut(cells.filter(good), keys.filter(good), self.data)


def _keys(cells: pl.DataFrame, data: TableData) -> pl.Series:
    columns = [*data.sequence, *([data.split] if data.split else [])]
    if not columns:
        return pl.Series([""] * len(cells), dtype=pl.String)
    return cells.select(
        pl.concat_str([pl.col(column).cast(pl.String) for column in columns], separator=BETWEEN)
    ).to_series()


def _cut(cells: pl.DataFrame, keys: pl.Series, data: TableData) -> Iterator[Run]:
    inputs, targets = _floats(cells, data.inputs), _targets(cells, data)
    start = 0
    for length, key in keys.rle().struct.unnest().iter_rows():
        yield Run(key, inputs[start : start + length], targets[start : start + length])
        start += length


def _floats(cells: pl.DataFrame, columns: tuple[str, ...]) -> Floats:
    return np.stack([cells.select(number(column)).to_series().to_numpy() for column in columns], axis=1)


def _targets(cells: pl.DataFrame, data: TableData) -> Floats | Indices:
    if not data.targets:
        return np.zeros((len(cells), 0), dtype=np.float32)
    if not data.classes:
        return _floats(cells, data.targets)
    indices = {label: index for index, label in enumerate(data.classes)}
    labels = cells[data.targets[0]].cast(pl.String)
    found: NDArray[Any] = labels.replace_strict(indices, return_dtype=pl.Int64).to_numpy()
    return found.astype(np.int64)
