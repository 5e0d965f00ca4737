"""The store in this process's memory: one array for each state tensor, a row for each slot."""

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from server.errors import SequencesFull
from server.stores.base import StateStore
from server.types import Array, Arrays


@final
class MemoryStore(StateStore):
    """Rows for `capacity` sequences, reserved at once; the system gives memory to a row when it is first written.

    Args:
        initial: one initial row of each state, by name, without the batch axis.
        capacity: how many sequences may be live.
    """

    def __init__(self, initial: Arrays, *, capacity: int) -> None:
        self._capacity = capacity
        self._initial = dict(initial)
        self._rows: dict[str, Array] = {
            name: np.zeros((capacity, *row.shape), row.dtype) for name, row in initial.items()
        }
        self._free: list[int] = []
        self._touched = 0

    @override
    def allocate(self, count: int) -> list[int]:
        if self.live + count > self._capacity:
            raise SequencesFull(
                f"{self.live} sequences are live and {self._capacity} are the most this model may have; try again later"
            )
        slots = [self._free.pop() for _ in range(min(count, len(self._free)))]
        fresh = range(self._touched, self._touched + count - len(slots))
        self._touched = fresh.stop
        return [*slots, *fresh]

    @override
    def release(self, slots: Sequence[int]) -> None:
        self._free.extend(slots)

    @override
    def gather(self, slots: NDArray[np.intp], fresh: NDArray[np.bool_]) -> Arrays:
        states = {name: rows[slots] for name, rows in self._rows.items()}
        if fresh.any():
            for name, state in states.items():
                state[fresh] = self._initial[name]
        return states

    @override
    def commit(self, slots: NDArray[np.intp], next_states: Arrays) -> None:
        for name, rows in self._rows.items():
            rows[slots] = next_states[name]

    @property
    @override
    def live(self) -> int:
        return self._touched - len(self._free)

    @property
    @override
    def slot_bytes(self) -> int:
        return sum(row.nbytes for row in self._initial.values())
