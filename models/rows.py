"""What rows must be before a graph sees them: some of what is refused here would end ONNX Runtime's process."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.device_array import Rows, on_host
from models.errors import ModelDamaged, RowsInvalid
from models.manifest import Manifest, StateSpec, TensorSpec
from models.tensors import TIME, Array, Arrays


def time_axis(tensor: TensorSpec) -> int | None:
    """Give the place of a tensor's time axis, counted with the batch's; None where it has none."""
    return 1 + tensor.shape.index(TIME) if TIME in tensor.shape else None


def size_of(tensors: Sequence[TensorSpec], arrays: Mapping[str, Array]) -> tuple[int, int]:
    """Give the rows and the time of arrays; without a time axis among them, a chunk is one step."""
    for tensor in tensors:
        if (axis := time_axis(tensor)) is not None:
            return len(arrays[tensor.name]), arrays[tensor.name].shape[axis]
    return len(next(iter(arrays.values()))), 1


def steps_of(tensors: Sequence[TensorSpec], arrays: Mapping[str, Array], first: int, end: int) -> Arrays:
    """Cut the steps `first` to `end` out of arrays; what has no time axis stays whole."""
    axes = {tensor.name: time_axis(tensor) for tensor in tensors}
    return {
        name: array if (axis := axes[name]) is None else np.take(array, range(first, end), axis)
        for name, array in arrays.items()
    }


def check_rows(rows: int, time: int, lengths: NDArray[np.int64], *, ragged: bool = True) -> None:
    """Raise RowsInvalid for no rows, no steps or lengths outside 1..time; or, if not `ragged`, other than time."""
    if rows < 1 or time < 1:
        raise RowsInvalid(f"a batch of {rows} rows and {time} steps has nothing to run")
    if lengths.shape == (rows,) and lengths.tobytes() == _whole(rows, time):
        return
    if lengths.shape != (rows,) or int(lengths.min()) < 1 or int(lengths.max()) > time:
        raise RowsInvalid(f"lengths must be {rows} numbers from 1 to {time}")
    if not ragged and int(lengths.min()) < time:
        raise RowsInvalid(f"lengths must all be {time}, since the graph takes no lengths")


@lru_cache(maxsize=256)
def _whole(rows: int, time: int) -> bytes:
    """The lengths of rows that are all whole, to be compared at once."""
    return np.full(rows, time, np.int64).tobytes()


def check_sizes(arrays: Mapping[str, Rows]) -> None:
    """Raise RowsInvalid for an array that has nothing on one of its axes."""
    for name, array in arrays.items():
        if not array.size:
            raise RowsInvalid(f"'{name}' is {list(array.shape)}: an axis of nothing cannot be run")


def check_lengths_of(manifest: Manifest) -> None:
    """Raise ModelDamaged where a state's `length_of` is no count of a row's."""
    counts = {tensor.name for tensor in manifest.inputs if tensor.dtype in {"INT32", "INT64"} and not tensor.shape}
    counts |= {state.input for state in manifest.states if state.dtype in {"INT32", "INT64"} and not state.shape}
    for state in manifest.states:
        if state.length_of is not None and (state.length_of not in counts or free_axis(state) is None):
            raise ModelDamaged(
                f"state '{state.input}' has the length_of '{state.length_of}', "
                "which must name an INT32 or INT64 state or input [batch] and needs a free axis in the state's shape"
            )


def has_free_axes(manifest: Manifest) -> bool:
    """Tell whether the size of an input or a state is known only once it comes."""
    shapes = [*(tensor.shape for tensor in manifest.inputs), *(state.shape for state in manifest.states)]
    return any(isinstance(axis, str) and axis != TIME for shape in shapes for axis in shape)


def fit_free_axes(
    specs: Sequence[StateSpec], states: Mapping[str, Rows], inputs: Mapping[str, Array]
) -> Mapping[str, Rows]:
    """Check the lengths of the states' free axes; an axis on which no row has anything is padded to one."""
    for spec in specs:
        if spec.length_of is not None and (axis := free_axis(spec)) is not None:
            array = on_host(states[spec.input])
            given = states[spec.length_of] if spec.length_of in states else inputs[spec.length_of]
            lengths = on_host(given).astype(np.int64)
            rows, size = len(array), array.shape[axis]
            if lengths.shape != (rows,) or not ((lengths >= 0) & (lengths <= size)).all():
                raise RowsInvalid(f"'{spec.length_of}' must be {rows} numbers from 0 to {size}")
            if size == 0:
                states = {**states, spec.input: np.pad(array, [(0, at == axis) for at in range(array.ndim)])}
    check_sizes(states)
    return states


def free_axis(state: StateSpec) -> int | None:
    """Give the place of a state's first free axis, counted with the batch's; None where it has none."""
    return next((1 + place for place, axis in enumerate(state.shape) if isinstance(axis, str)), None)
