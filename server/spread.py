"""Outputs whose last axis is free: as large in each row as the state of its sequence that has that axis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.manifest import Manifest, TensorSpec
from models.rows import free_axis
from models.tensors import NUMPY, fixed_shape
from server.types import Array, Arrays, Ints, Slots


class Spread(NamedTuple):
    """An output with such an axis.

    Attributes:
        output: its name.
        state: which state says how large it is.
        axis: the place of that axis in one row of the state.
    """

    output: str
    state: str
    axis: int


def spreads_of(manifest: Manifest) -> tuple[Spread, ...]:
    """Find the outputs with a free axis that a state has too."""
    states = {state.shape[axis - 1]: (state.input, axis - 1) for state in manifest.states if (axis := free_axis(state))}
    free = [(spec.name, spec.shape[-1]) for spec in manifest.outputs if spec.shape]
    return tuple(Spread(name, *states[axis]) for name, axis in free if axis in states)


def sizes_of(spreads: Sequence[Spread], ragged: Mapping[str, Sequence[Array]]) -> dict[str, Ints]:
    """Give how large each row of each such output is, `[rows]`, from the rows' states."""
    return {
        spread.output: np.array([array.shape[spread.axis] for array in ragged[spread.state]], np.int64)
        for spread in spreads
    }


def cut(outputs: Arrays, spreads: Sequence[Spread], sizes: Mapping[str, Ints], first: int, stop: int) -> Arrays:
    """Cut outputs of some rows to the largest of them."""
    found = dict(outputs)
    for spread in spreads:
        most = int(sizes[spread.output][first:stop].max(initial=0))
        found[spread.output] = found[spread.output][..., :most]
    return found


def put_together(spec: TensorSpec, rows: int, time: int, pieces: Iterable[tuple[Slots, Array]]) -> Array:
    """Put rows of an output together, each piece `[some, …]` at its places; zeros where no piece reaches."""
    found = list(pieces)
    axes = (time, *fixed_shape(spec.shape[1:])) if spec.is_timed else fixed_shape(spec.shape)
    largest = np.max([axes, *(array.shape[1:] for _, array in found)], axis=0, initial=0).tolist() if axes else ()
    output = np.zeros((rows, *largest), NUMPY[spec.dtype])
    for places, array in found:
        output[corner(places, array)] = array
    return output


def corner(places: Slots, array: Array) -> tuple[Slots | slice, ...]:
    """Index some rows of a larger array as far as an array `[some, …]` reaches."""
    return (places, *[slice(size) for size in array.shape[1:]])
