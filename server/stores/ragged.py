"""States with a free axis: for each slot an array of its own size."""

from collections.abc import Iterable, Mapping, Sequence
from typing import final

import numpy as np

from server.types import Array, Arrays, Flags, Ints, Slots


@final
class RaggedRows:
    """Rows by state name and slot, and the bytes that they take.

    Args:
        initial: one initial row of each state, by name.
    """

    def __init__(self, initial: Arrays) -> None:
        self._initial = dict(initial)
        self._rows: dict[str, dict[int, Array]] = {name: {} for name in initial}
        self.bytes = 0

    def take(self, slots: Slots, fresh: Flags) -> dict[str, list[Array]]:
        """Give the rows' arrays, by name; those of `fresh` rows are the initial ones."""
        if not self._rows:
            return {}
        places = [None if begins else slot for slot, begins in zip(slots.tolist(), fresh.tolist(), strict=True)]
        return {
            name: [self._initial[name] if place is None else rows[place] for place in places]
            for name, rows in self._rows.items()
        }

    def sizes(self, slot: int) -> dict[str, tuple[int, ...]]:
        """Give the shapes of a slot's arrays, by name."""
        return {name: rows[slot].shape for name, rows in self._rows.items() if slot in rows}

    def growth(self, slots: Slots, ragged: Mapping[str, Sequence[Array]]) -> Ints:
        """Tell how many more bytes each row would take, `[rows]`; 0 for rows that are not kept."""
        grown = np.zeros(len(slots), np.int64)
        for name, arrays in ragged.items():
            before = self._rows[name]
            for row, (slot, array) in enumerate(zip(slots.tolist(), arrays, strict=True)):
                if slot >= 0:
                    grown[row] += array.nbytes - (before[slot].nbytes if slot in before else 0)
        return grown

    def put(self, slots: Slots, ragged: Mapping[str, Sequence[Array]]) -> None:
        """Keep arrays, one a row."""
        for name, arrays in ragged.items():
            rows = self._rows[name]
            for slot, array in zip(slots.tolist(), arrays, strict=True):
                self.bytes += array.nbytes - (rows[slot].nbytes if slot in rows else 0)
                rows[slot] = array

    def drop(self, slots: Iterable[int]) -> None:
        """Let go of the rows of slots that nobody lives in any more."""
        for rows in self._rows.values():
            for slot in slots:
                if (gone := rows.pop(slot, None)) is not None:
                    self.bytes -= gone.nbytes
