"""States with a free axis: kept by row, each of its own size, padded to the longest of a batch, and cut again."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from models.manifest import StateSpec
from models.rows import free_axis
from server.types import Array, Arrays, Slots


@final
class Padding:
    """What a model's manifest says of the sizes of its states.

    The first free axis of a state whose `length_of` tells how much of it is valid may be padded; any other axis must
    be as long in all rows that run together.

    Attributes:
        names: the states that have a free axis.
    """

    def __init__(self, states: Sequence[StateSpec]) -> None:
        ragged = [(state, axis - 1) for state in states if (axis := free_axis(state)) is not None]
        self.names = frozenset(state.input for state, _ in ragged)
        self._padded = {state.input: (axis, state.length_of) for state, axis in ragged if state.length_of}

    def alike(self, ragged: Mapping[str, Sequence[Array]]) -> list[Slots]:
        """Part rows into those that may run together."""
        parts: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for row, arrays in enumerate(zip(*ragged.values(), strict=True)):
            shapes = [self._fixed(name, array.shape) for name, array in zip(ragged, arrays, strict=True)]
            parts.setdefault(tuple(shapes), []).append(row)
        return [np.array(rows, np.intp) for rows in parts.values()]

    def pad(self, ragged: Mapping[str, Sequence[Array]]) -> dict[str, Array]:
        """Stack rows that are alike, `[rows, …]`, zeros after the end of each."""
        return {name: _stack(arrays) for name, arrays in ragged.items()}

    def cut(self, states: Arrays, given: Arrays) -> dict[str, list[Array]]:
        """Cut states `[rows, …]` into rows, each a copy as long as its length says.

        Args:
            states: by name; those that have no free axis may tell lengths.
            given: what else may tell them: the inputs.
        """
        return {name: self._rows(name, states, given) for name in states if name in self.names}

    def _rows(self, name: str, states: Arrays, given: Arrays) -> list[Array]:
        axis, length_of = self._padded.get(name, (0, None))
        counts = None if length_of is None else states.get(length_of, given.get(length_of))
        if counts is None:
            return [array.copy() for array in states[name]]
        before = (slice(None),) * axis
        return [
            array[(*before, slice(max(0, int(count))))].copy()
            for array, count in zip(states[name], counts.tolist(), strict=True)
        ]

    def _fixed(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axes that may not be padded."""
        if name not in self._padded:
            return shape
        axis = self._padded[name][0]
        return shape[:axis] + shape[axis + 1 :]


def _stack(arrays: Sequence[Array]) -> Array:
    shape = tuple(np.max([array.shape for array in arrays], axis=0).tolist())
    if all(array.shape == shape for array in arrays):
        return np.stack(arrays)
    stacked = np.zeros((len(arrays), *shape), arrays[0].dtype)
    for row, array in enumerate(arrays):
        stacked[row][tuple([slice(size) for size in array.shape])] = array
    return stacked
