"""Where each sequence stands: columns of numbers, one row a slot."""

from typing import final

import numpy as np

from server.types import UNNUMBERED, Batch, Record, Slots


@final
class Records:
    """Columns over all slots; the system gives memory to a page of them when it is first written.

    Attributes:
        position: steps done, `[capacity]`.
        length: steps of the last request, UNNUMBERED where it did not count them.
        digest: of that request's inputs.
        life: which life of its id the sequence is; 0 where the client did not say.
        used: monotonic seconds of the last request; 0 where nobody lives.
    """

    def __init__(self, capacity: int) -> None:
        self.position = np.zeros(capacity, np.int64)
        self.length = np.zeros(capacity, np.int64)
        self.digest = np.zeros(capacity, np.uint64)
        self.life = np.zeros(capacity, np.uint64)
        self.used = np.zeros(capacity)

    def __getitem__(self, slot: int) -> Record:
        columns = (self.position, self.length, self.digest, self.life)
        return Record(*(column.item(slot) for column in columns))

    def idle_since(self, moment: float, among: Slots | None = None) -> Slots:
        """Give the slots of sequences that were not asked after a moment; of some slots, where they are given."""
        used = self.used if among is None else self.used[among]
        idle = np.flatnonzero((used > 0) & (used <= moment))
        return idle if among is None else among[idle]

    def move_on(self, slot: int, position: int) -> bool:
        """Let a slot's last request have led to a position; tells whether it was counted."""
        counted = bool(self.length[slot] != UNNUMBERED)
        if counted:
            self.length[slot] += position - self.position[slot]
        self.position[slot] = position
        return counted

    def write(self, batch: Batch) -> None:
        """Record what a batch did."""
        slots = batch.slots
        self.position[slots] = batch.positions
        if not batch.whole:
            self.life[slots] = batch.lives
        if batch.numbered is None:
            self.length[slots] = UNNUMBERED
            return
        spans = batch.lengths if batch.spans is None else batch.spans
        self.length[slots] = np.where(batch.numbered, spans, UNNUMBERED)
        self.digest[slots] = batch.digests
