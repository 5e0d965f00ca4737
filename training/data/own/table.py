"""The user's table as sequences in three parts, read from the file each time, so that it may be larger than memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from training.data.own.builder import Builder
from training.data.own.counts import Counts, count
from training.data.own.frames import frames
from training.data.own.parting import in_parts, rule
from training.data.own.runs import Runs
from training.data.own.settings import TableData
from training.data.series import PARTS, Parts, Series


@dataclass(frozen=True, slots=True)
class TablePart:
    """The sequences of one part of a table of so many rows, in the file's order; each iteration reads the file anew."""

    data: TableData
    part: str
    rows: int

    def __iter__(self) -> Iterator[Series]:
        runs, builder = Runs(self.data), Builder(self.data)
        for part, run in in_parts((run for frame in frames(self.data) for run in runs.of(frame)), self.data, self.rows):
            if part == self.part:
                yield from builder.add(run)
        yield from builder.end()


@dataclass(frozen=True, slots=True)
class Table:
    """A table's parts, and what was counted in it."""

    parts: Parts[TablePart]
    counts: Counts


def open_table(data: TableData) -> Table:
    """Read a table once, to see that it can be used.

    Raises:
        DataInvalid: the file cannot be read, lacks a column, has nothing to train on, or has rows that cannot be used
            where they are not to be skipped; the sentence has the file and the line (of Parquet, the row).
    """
    counts = count(data)
    train, validation, test = (TablePart(data, part, counts.rows) for part in PARTS)
    return Table(Parts(train, validation, test, rule(data)), counts)
