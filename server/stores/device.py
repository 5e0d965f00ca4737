"""States on a device: blocks of rows that are allocated as slots are taken, written in place and never copied."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import final

import numpy as np
from typing_extensions import override

from models.device import CPU, CUDA, place_of
from models.device_array import DeviceArray, Rows
from server.errors import StateFull
from server.stores.rows import HostRows, Place, StateRows
from server.types import Arrays, Flags, Slots

# A device gives memory at once, written to or not: the first sequence of a model takes this much at most.
BLOCK_BYTES = 64 * 2**20

Block = Mapping[str, DeviceArray]


@final
class DeviceRows(StateRows):
    """States in a device's memory, gathered and scattered there.

    Args:
        initial: one initial row of each state, by name, without the batch axis.
        capacity: how many slots.
        device: `cpu`, `cuda` or `cuda:N`.
    """

    def __init__(self, initial: Arrays, capacity: int, device: str) -> None:
        self._device = device
        self._capacity = capacity
        self._initial = {name: DeviceArray.of(row[None], device) for name, row in initial.items()}
        self._blocks: dict[int, Block] = {}
        self._torn: set[int] = set()
        self.row_bytes = sum(row.dtype.itemsize * math.prod(row.shape) for row in initial.values())
        self.block = max(1, min(capacity, BLOCK_BYTES // max(1, self.row_bytes)))

    @override
    def reserve(self, slots: Sequence[int]) -> None:
        for block in {slot // self.block for slot in slots} - self._blocks.keys():
            rows = min(self.block, self._capacity - block * self.block)
            try:
                self._blocks[block] = {
                    name: DeviceArray.empty((rows, *row.shape[1:]), row.dtype, self._device)
                    for name, row in self._initial.items()
                }
            except MemoryError as error:
                raise StateFull(f"{self._device} has no memory for more sequences; try again later") from error

    @override
    def take(self, slots: Slots, fresh: Flags) -> Mapping[str, Rows]:
        if not self._torn.isdisjoint(slots[~fresh].tolist()):
            raise RuntimeError(f"{self._device} failed as a state was written: its sequence has to begin anew")
        parts = self._parts(slots, np.flatnonzero(~fresh))
        begin = np.setdiff1d(np.arange(len(slots)), np.concatenate([[], *(rows for rows, _, _ in parts)]))
        parts.append((begin, self._initial, np.zeros_like(begin)))
        taken = {
            name: DeviceArray.empty((len(slots), *row.shape[1:]), row.dtype, self._device)
            for name, row in self._initial.items()
        }
        for rows, arrays, places in parts:
            for name, states in taken.items():
                states.put(rows, arrays[name], places)
        return taken

    @override
    def put(self, slots: Slots, states: Mapping[str, Rows]) -> None:
        # A device that fails between two states of a row leaves a state that never was, which must not be gone on from.
        written = set(slots.tolist())
        self._torn |= written
        for rows, block, places in self._parts(slots, np.arange(len(slots))):
            for name, array in block.items():
                array.put(places, states[name], rows)
        self._torn -= written

    @override
    def forget(self, block: int) -> None:
        self._blocks.pop(block, None)

    def _parts(self, slots: Slots, rows: Slots) -> list[tuple[Slots, Block, Slots]]:
        """Part rows by the block that their slot is in; give each part's rows, the block, and the places there.

        A sequence that was ended while it ran may have lost its block, and is left out.
        """
        blocks, places = np.divmod(slots[rows], self.block)
        held = [(blocks == number, self._blocks[number]) for number in np.unique(blocks) if number in self._blocks]
        return [(rows[there], block, places[there]) for there, block in held]


# By the kind of device that models run on, where their states lie.
PLACES: dict[str, Callable[[str], Place]] = {
    CPU: lambda _: HostRows,
    CUDA: lambda device: functools.partial(DeviceRows, device=device),
}


def place_for(device: str) -> Place:
    """Give the place for the states of models that run on a device."""
    return PLACES[place_of(device)[0]](device)
