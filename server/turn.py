"""Chunks whose turn has come: their rows as columns, and what was decided of each."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from server.columns import constant, everyone, no_flags, no_words
from server.errors import RecurError
from server.types import UNNUMBERED, Chunk, Flags, Ints, ModelKey, Scope, SequenceId, Slots, Stored

Number = TypeVar("Number", bound=np.generic)


@final
class Turn:
    """The rows of chunks of one model version, `[rows]` over all of them.

    Attributes:
        slots: where each row's state lives; NOWHERE for one that is not kept, or that is answered without a run.
        sources: where it is before the run; None where that is the same slot for all rows.
        start, end, steps, lives, lengths: as the chunks ask.
        advances: how many steps each row's sequence goes on, if it runs.
        fresh: the rows that begin at the initial state.
        before: steps that each row's sequence had before it; 0 where it does not live.
        positions: steps that each row's sequence has had.
        numbered: the rows whose steps are counted; None for none.
        digests: of the inputs of numbered rows.
        spans: steps that each row's request will have had; None where they are the lengths.
        created: the rows that took a new slot.
        errors: by row, what answers it instead of a run.
        replays: by row, the stored answer that answers it instead of a run.
    """

    def __init__(self, chunks: Sequence[Chunk], slots: Slots) -> None:
        self.model: ModelKey = chunks[0].model
        self.part = chunks[0].part
        self.chunks = chunks
        self.slots = slots
        self.sources = _sources(chunks, slots)
        self.plain = all(chunk.plain for chunk in chunks)
        self.created: list[int] = []
        self.errors: dict[int, RecurError] = {}
        self.replays: dict[int, Stored] = {}
        self._firsts = list(accumulate([chunk.rows for chunk in chunks], initial=0))
        self._read_columns(len(slots))

    def _read_columns(self, rows: int) -> None:
        """Join the chunks' columns; where all rows are plain, most are constants."""
        longest = max([chunk.time for chunk in self.chunks])
        whole = longest == 1 or all(chunk.lengths is constant(longest, chunk.rows) for chunk in self.chunks)
        self.lengths = constant(longest, rows) if whole else joined([chunk.lengths for chunk in self.chunks])
        self.fresh, self.start, self.end = no_flags(rows), no_flags(rows), no_flags(rows)
        self.steps, self.lives, self.digests = constant(UNNUMBERED, rows), no_words(rows), no_words(rows)
        self.numbered: Flags | None = None
        self.spans: Ints | None = None
        self.before = self.positions = self.advances = self.lengths
        if self.plain:
            return
        self.fresh, self.before, self.positions = (
            np.zeros(rows, np.bool_),
            np.zeros_like(self.lengths),
            self.lengths.copy(),
        )
        self.start = joined([chunk.start for chunk in self.chunks])
        self.end = joined([chunk.end for chunk in self.chunks])
        self.steps = joined([chunk.steps for chunk in self.chunks])
        self.lives = joined([chunk.lives for chunk in self.chunks])
        numbered = self.steps != UNNUMBERED
        self.numbered = numbered if numbered.any() else None
        if any(chunk.before is not None for chunk in self.chunks):
            before = [constant(0, chunk.rows) if chunk.before is None else chunk.before for chunk in self.chunks]
            self.spans = self.lengths + joined(before)
        if self.part == "peek":
            self.advances = constant(0, rows)

    def told(self) -> Ints:
        """Give how many steps each row is answered where answers come at the end, `[rows]`; 0 for rows that go on."""
        complete = self.end | (self.slots < 0) | (self.part == "peek")
        return np.where(complete, np.where(self.fresh, 0, self.before) + self.lengths, 0)

    def chunk_rows(self) -> Sequence[tuple[Chunk, int, int]]:
        """List each chunk with its first row and the row after its last."""
        return list(zip(self.chunks, self._firsts, self._firsts[1:], strict=False))

    def keeps(self, row: int) -> bool:
        """Whether a row is of a sequence that is kept."""
        return bool(self.place(row)[0].ids)

    def owner(self, row: int) -> tuple[Scope, SequenceId]:
        """Name the sequence of a row that is kept."""
        chunk, place = self.place(row)
        return chunk.scope, chunk.ids[0 if chunk.lease else place]

    def place(self, row: int) -> tuple[Chunk, int]:
        """Find the chunk of a row, and where in it the row stands."""
        number = bisect_right(self._firsts, row) - 1
        return self.chunks[number], row - self._firsts[number]

    def fail(self, row: int, error: RecurError) -> None:
        """Answer a row with an error; its sequence is as it was before."""
        self.errors[row], self.positions[row] = error, self.before[row]

    def running(self) -> Slots:
        """Give the rows that are to run, in order."""
        runs = everyone(len(self.slots))
        answered = [*self.errors, *self.replays]
        return np.delete(runs, answered) if answered else runs


def _sources(chunks: Sequence[Chunk], slots: Slots) -> Slots | None:
    if all(chunk.lease is None for chunk in chunks):
        return None
    sources, row = slots.copy(), 0
    for chunk in chunks:
        if chunk.lease is not None:
            sources[row : row + chunk.rows] = chunk.lease.reads
        row += chunk.rows
    return sources


class Turns(Protocol):
    """Whoever keeps the sequences: asked when the turn of chunks has come, told how it went."""

    def begin(self, chunks: Sequence[Chunk]) -> Turn:
        """Give the rows their slots, or what answers them at once."""
        ...

    def commit(self, turn: Turn) -> None:
        """Record that the turn's rows were done, but for those in its errors, which are as they were before."""
        ...


def joined(columns: Sequence[NDArray[Number]]) -> NDArray[Number]:
    """Put columns one after another; a single one is given as it is."""
    return columns[0] if len(columns) == 1 else np.concatenate(columns)
