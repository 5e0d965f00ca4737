"""The states that have one size in every row: where they lie, on the host or on a device."""

import abc
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import final

import numpy as np
from typing_extensions import override

from models.device_array import Rows, on_host
from server.columns import no_flags
from server.stores.arena import Arena
from server.types import Arrays, Flags, Slots

# Memory is given back in blocks of so many slots, when none of them is in use.
BLOCK = 4096
# Of fewer rows, to look whether their slots follow one another costs as much as it saves.
MANY = 16


class StateRows(abc.ABC):
    """A row of every state for each slot.

    Attributes:
        block: slots whose memory comes and goes together: the first so many, the next, and so on.
        row_bytes: bytes of all states of one slot.
    """

    block: int
    row_bytes: int

    @abc.abstractmethod
    def reserve(self, slots: Sequence[int]) -> None:
        """Make sure that slots can be written to; raises StateFull where there is no memory for them."""

    @abc.abstractmethod
    def take(self, slots: Slots, fresh: Flags) -> Mapping[str, Rows]:
        """Give rows by name, valid until the next `put`; `fresh` ones are the initial state, to be written to."""

    @abc.abstractmethod
    def put(self, slots: Slots, states: Mapping[str, Rows]) -> None:
        """Write rows to their slots."""

    @abc.abstractmethod
    def forget(self, block: int) -> None:
        """Give back the memory of a block in which nobody lives."""


# Makes the rows, of the initial one of each state and the capacity.
Place = Callable[[Arrays, int], StateRows]


@final
class HostRows(StateRows):
    """States in this process's memory: an arena each, which takes memory as rows are written.

    Args:
        initial: one initial row of each state, by name, without the batch axis.
        capacity: how many slots.
    """

    def __init__(self, initial: Arrays, capacity: int) -> None:
        self.block = BLOCK
        self._capacity = capacity
        self._initial = initial
        self._arenas = {name: Arena(row.shape, row.dtype, capacity) for name, row in initial.items()}
        self.row_bytes = sum(arena.row_bytes for arena in self._arenas.values())
        self._last: tuple[Slots | None, slice | None] = (None, None)

    @override
    def reserve(self, slots: Sequence[int]) -> None:
        """Addresses are reserved already."""

    @override
    def take(self, slots: Slots, fresh: Flags) -> Mapping[str, Rows]:
        begins = fresh is not no_flags(len(fresh)) and fresh.any()
        if not begins and (run := self._run(slots)) is not None:
            return {name: arena.rows[run] for name, arena in self._arenas.items()}
        states = {name: arena.rows.take(slots, 0, mode="clip") for name, arena in self._arenas.items()}
        if begins:
            for name, state in states.items():
                state[fresh] = self._initial[name]
        return states

    @override
    def put(self, slots: Slots, states: Mapping[str, Rows]) -> None:
        place = self._run(slots) or slots
        for name, arena in self._arenas.items():
            arena.rows[place] = on_host(states[name])

    @override
    def forget(self, block: int) -> None:
        for arena in self._arenas.values():
            arena.forget(block * self.block, min((block + 1) * self.block, self._capacity))

    def _run(self, slots: Slots) -> slice | None:
        """The slots as a slice, where they follow one another; rows are mostly written to where they were read."""
        if slots is not self._last[0]:
            self._last = slots, _run(slots)
        return self._last[1]


def _run(slots: Slots) -> slice | None:
    """The slots as a slice, where they follow one another: then rows are read in place and written at once."""
    rows = len(slots)
    if rows < MANY or slots.item(-1) - (first := slots.item(0)) != rows - 1 or first < 0:
        return None
    return slice(first, first + rows) if slots.tobytes() == _following(first, rows) else None


@lru_cache(maxsize=256)
def _following(first: int, rows: int) -> bytes:
    """Slots that follow one another, to be compared at once."""
    return np.arange(first, first + rows, dtype=np.intp).tobytes()
