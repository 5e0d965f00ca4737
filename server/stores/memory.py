"""The store that lives as long as this process: states where their device is, records and stored outputs here."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import final

import numpy as np
from typing_extensions import override

from models.manifest import TensorSpec
from models.tensors import NUMPY, fixed_shape
from server.columns import no_flags
from server.errors import SequencesFull
from server.stores.arena import Arena
from server.stores.base import StateStore
from server.stores.ragged import RaggedRows
from server.stores.records import Records
from server.stores.rows import HostRows, Place
from server.types import Array, Arrays, Batch, Flags, Slots, States, Stored


@final
class MemoryStore(StateStore):
    """Rows for `capacity` sequences; a commit is done when the rows are written.

    Args:
        initial: one initial row of each state, by name, without the batch axis.
        outputs: what an answer has, to be kept for requests that come again.
        capacity: how many sequences may be live.
        ragged: the states with a free axis, whose rows are each of their own size; they lie in this process's memory.
        left: tells by how many bytes ragged states may grow; infinite for no limit.
        place: where the other states lie.
    """

    def __init__(
        self,
        initial: Arrays,
        outputs: Sequence[TensorSpec],
        *,
        capacity: int,
        ragged: Collection[str] = (),
        left: Callable[[StateStore], float] = lambda _: math.inf,
        place: Place = HostRows,
    ) -> None:
        self._capacity = capacity
        self._left = left
        self._states = place({name: row for name, row in initial.items() if name not in ragged}, capacity)
        self._ragged = RaggedRows({name: initial[name] for name in ragged})
        self._timed = {spec.name: spec.is_timed for spec in outputs}
        self._spread = any(isinstance(axis, str) for spec in outputs for axis in spec.shape[spec.is_timed :])
        self._answers = {
            spec.name: Arena(fixed_shape(spec.shape[self._timed[spec.name] :]), NUMPY[spec.dtype], capacity)
            for spec in outputs
        }
        self._long: dict[int, Arrays] = {}
        self._long_bytes = 0
        self._free: list[int] = []
        self._touched = 0
        self._in_use = np.zeros(-(-capacity // self._states.block), np.int64)
        self._dirty: set[int] = set()
        self.records = Records(capacity)

    @override
    def allocate(self, count: int) -> list[int]:
        if self.live + count > self._capacity:
            raise SequencesFull(
                f"{self.live} sequences are live and {self._capacity} are the most this model may have; try again later"
            )
        used = self._free[: -count - 1 : -1] if count else []
        slots = [*used, *range(self._touched, self._touched + count - len(used))]
        self._states.reserve(slots)
        del self._free[len(self._free) - len(used) :]
        self._touched += count - len(used)
        np.add.at(self._in_use, np.array(slots, np.intp) // self._states.block, 1)
        return slots

    @override
    def release(self, slots: Sequence[int]) -> None:
        blocks = np.array(slots, np.intp) // self._states.block
        np.subtract.at(self._in_use, blocks, 1)
        self._dirty.update(blocks.tolist())
        self._free.extend(slots)
        if self._long:
            for slot in slots:
                self._drop_long(slot)
        self._ragged.drop(slots)

    @override
    def gather(self, slots: Slots, fresh: Flags) -> States:
        return States(self._states.take(slots, fresh), self._ragged.take(slots, fresh))

    @override
    def without_room(self, slots: Slots, next_states: States) -> Flags | None:
        left = self._left(self)
        if left == math.inf:
            return None
        growth = self._ragged.growth(slots, next_states.ragged)
        full = (growth > 0) & (growth.cumsum() > left)
        return full if full.any() else None

    @override
    def sizes(self, slot: int) -> Mapping[str, tuple[int, ...]]:
        return self._ragged.sizes(slot)

    @override
    def commit(self, batch: Batch, outputs: Arrays, next_states: States, kept: Slots | None) -> None:
        if kept is not None:
            batch = batch.of(kept)
            outputs = {name: array[kept] for name, array in outputs.items()}
            next_states = next_states.of(kept)
        slots = batch.slots
        self._states.put(slots, next_states.fixed)
        self._ragged.put(slots, next_states.ragged)
        self.records.write(batch)
        if self._long:
            for slot in slots.tolist():
                self._drop_long(slot)
        if batch.numbered is not None:
            self._keep_answers(batch, outputs, np.flatnonzero(batch.numbered))

    @override
    def take_over(self, slot: int, source: int, answer: Arrays) -> int:
        states = self.gather(np.array([source], np.intp), no_flags(1))
        self._states.put(np.array([slot], np.intp), states.fixed)
        self._ragged.put(np.array([slot], np.intp), states.ragged)
        counted = self.records.move_on(slot, self.records.position.item(source))
        self._drop_long(slot)
        if counted:
            self._keep_long(slot, dict(answer))
        return self.records.position.item(slot)

    @override
    def recall(self, slot: int) -> Stored:
        record = self.records[slot]
        outputs = {} if record.length == 0 else self._long.get(slot)
        if outputs is None:
            outputs = {
                name: arena.rows[slot : slot + 1].copy() if self._timed[name] else arena.rows[slot].copy()
                for name, arena in self._answers.items()
            }
        return Stored(outputs, record.position)

    @override
    def trim(self) -> None:
        for block in self._dirty:
            if not self._in_use[block]:
                self._states.forget(block)
                first, last = block * self._states.block, min((block + 1) * self._states.block, self._capacity)
                for arena in self._answers.values():
                    arena.forget(first, last)
        self._dirty.clear()

    @property
    @override
    def live(self) -> int:
        return self._touched - len(self._free)

    @property
    @override
    def arena_slots(self) -> int:
        return self._touched

    @property
    @override
    def slot_bytes(self) -> int:
        return self._states.row_bytes + sum(arena.row_bytes for arena in self._answers.values())

    @property
    @override
    def used_bytes(self) -> int:
        return self.live * self.slot_bytes + self._long_bytes + self._ragged.bytes

    def _keep_answers(self, batch: Batch, outputs: Arrays, rows: Slots) -> None:
        """Keep answers of one step in the arenas; longer ones are few, and each is an array of its own."""
        told = batch.lengths if batch.told is None else batch.told
        # What has a free axis is of its own size in each row.
        short = rows[(told[rows] == 1) & (not self._spread)]
        for name, arena in self._answers.items():
            if len(short):
                output = outputs[name][short]
                arena.rows[batch.slots[short]] = output[:, 0] if self._timed[name] else output
        for row in np.setdiff1d(rows, short).tolist():
            length = told.item(row)
            answer = {
                name: (array[row, :length] if self._timed[name] else array[row]).copy()
                for name, array in _row_sized(batch, outputs, row).items()
            }
            self._keep_long(batch.slots.item(row), answer)

    def _keep_long(self, slot: int, answer: Arrays) -> None:
        self._long[slot] = answer
        self._long_bytes += _size(answer)

    def _drop_long(self, slot: int) -> None:
        if answer := self._long.pop(slot, None):
            self._long_bytes -= _size(answer)


def _row_sized(batch: Batch, outputs: Arrays, row: int) -> Arrays:
    """Give outputs, those with a free axis other than time cut to the size of a row."""
    if not batch.sizes:
        return outputs
    sized = dict(outputs)
    for name, sizes in batch.sizes.items():
        sized[name] = sized[name][..., : sizes.item(row)]
    return sized


def _size(answer: Mapping[str, Array]) -> int:
    return sum(array.nbytes for array in answer.values())
