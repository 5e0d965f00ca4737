"""One ONNX graph, run on rows: whatever its own layout is, callers have the batch first."""

from collections.abc import Collection, Mapping, Sequence
from typing import final

import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from models.device import CPU
from models.device_array import DeviceArray, Rows, joined, on_host
from models.errors import ModelDamaged, RowsInvalid
from models.manifest import TensorSpec
from models.session import open_session, quiet, run_bound
from models.tensors import DTYPES, ONNX_RUNTIME, DType


@final
class Graph:
    """A graph ready to run; thread-safe, stateless.

    An input that is one number for a whole run in the graph is one for each row to callers: rows of the same number
    run together.

    Args:
        data: the ONNX file's bytes.
        batch_axes: the batch's axis of the states, by their names in and out; it is the first of all other tensors.
        scalars: the inputs that are one number for a whole run if their rank is 0; by default any input.
        threads: how many threads one run uses.
        device: `cpu`, `cuda` or `cuda:N`.

    Raises:
        ModelDamaged: the graph cannot be loaded.
        DeviceMissing: there is no such device.
    """

    def __init__(
        self,
        data: bytes,
        *,
        batch_axes: Mapping[str, int] | None = None,
        scalars: Collection[str] | None = None,
        threads: int = 1,
        device: str = CPU,
    ) -> None:
        self._session = open_session(data, threads, device)
        self.inputs = {node.name: node for node in self._session.get_inputs()}
        self.outputs = {node.name: node for node in self._session.get_outputs()}
        self._options = quiet()
        self._device = device
        self._states = frozenset(batch_axes or {})
        moved = {name: axis for name, axis in (batch_axes or {}).items() if axis != 0}
        self._moved_in = {name: axis for name, axis in moved.items() if name in self.inputs}
        self._moved_out = {name: axis for name, axis in moved.items() if name in self.outputs}
        self._scalars = tuple(
            name for name, node in self.inputs.items() if not node.shape and (scalars is None or name in scalars)
        )

    def run(self, names: Sequence[str], feeds: Mapping[str, Rows], rows: int) -> dict[str, Rows]:
        """Give the outputs `names` for `rows` rows; every array in and out is `[batch, …]`.

        Where states come on a device, the next ones stay there; all else that comes out is on the host.

        Raises:
            RowsInvalid: values that the graph refuses, such as an index outside its table.
            ModelDamaged: the graph itself fails, as one whose tensors do not fit each other does.
        """
        if self._scalars and rows > 1:
            return self._run_groups(names, feeds, rows)
        return self._run_rows(names, feeds, rows)

    def _run_groups(self, names: Sequence[str], feeds: Mapping[str, Rows], rows: int) -> dict[str, Rows]:
        """Run the rows of each value of the scalars apart, and put the answers back in the rows' order."""
        groups: dict[bytes, list[int]] = {}
        for row in range(rows):
            groups.setdefault(b"".join(on_host(feeds[name])[row].tobytes() for name in self._scalars), []).append(row)
        if len(groups) == 1:
            return self._run_rows(names, feeds, rows)
        places = [np.array(group) for group in groups.values()]
        parts = [
            self._run_rows(names, {name: array[group] for name, array in feeds.items()}, len(group)) for group in places
        ]
        try:
            return {name: joined([part[name] for part in parts], places) for name in names}
        except ValueError as error:
            raise ModelDamaged("the graph's answers to rows of one batch have different shapes") from error

    def _run_rows(self, names: Sequence[str], feeds: Mapping[str, Rows], rows: int) -> dict[str, Rows]:
        """Run rows whose scalars are equal."""
        if rows == 1:
            # At one row ONNX Runtime takes another path, whose last bits differ from any larger batch.
            feeds = {name: _twice(array) for name, array in feeds.items()}
        if self._scalars:
            feeds = {**feeds, **{name: on_host(feeds[name])[0, ...] for name in self._scalars}}
        if self._moved_in:
            feeds = {**feeds, **{name: _batch_at(feeds[name], axis) for name, axis in self._moved_in.items()}}
        answers = dict(zip(names, self._run(names, feeds), strict=True))
        for name, axis in self._moved_out.items():
            answers[name] = _batch_first(answers[name], axis, name)
        return {name: array[:1] for name, array in answers.items()} if rows == 1 else answers

    def _run(self, names: Sequence[str], feeds: Mapping[str, Rows]) -> list[Rows]:
        try:
            if DeviceArray in map(type, feeds.values()):
                return self._run_on_device(names, feeds)
            answers: list[Rows] = self._session.run(names, feeds, self._options)
        except InvalidArgument as error:
            raise RowsInvalid("the graph cannot run on these values") from error
        except (Fail, RuntimeException) as error:
            raise ModelDamaged("the graph fails as it runs") from error
        return answers

    def _run_on_device(self, names: Sequence[str], feeds: Mapping[str, Rows]) -> list[Rows]:
        bound = {name: array.value if isinstance(array, DeviceArray) else array for name, array in feeds.items()}
        places = {name: self._device if name in self._states else CPU for name in names}
        values = run_bound(self._session, bound, places, self._options)
        return [
            DeviceArray(value, self._device) if name in self._states else value.numpy()
            for name, value in zip(names, values, strict=True)
        ]


def check_tensors(side: str, expected: Mapping[str, DType], found: Mapping[str, ort.NodeArg], graph: str) -> None:
    """Raise ModelDamaged unless a graph has the tensors expected, and no other input; `graph` says which."""
    for name, dtype in expected.items():
        if name not in found:
            raise ModelDamaged(f"{graph} has no {side} '{name}', which the manifest names")
        if found[name].type != ONNX_RUNTIME[dtype]:
            raise ModelDamaged(f"{graph}'s {side} '{name}' is {found[name].type}, but the manifest says {dtype}")
    if side == "input" and (extra := sorted(found.keys() - expected.keys())):
        raise ModelDamaged(f"{graph} has an input '{extra[0]}' that the manifest does not name")


def spec_of(node: ort.NodeArg, graph: str) -> TensorSpec:
    """Describe a tensor that the manifest does not name, as the graph declares it, without its batch axis."""
    if node.type not in DTYPES:
        raise ModelDamaged(f"{graph}'s '{node.name}' is {node.type}, which no tensor of a model can be")
    if node.shape and isinstance(node.shape[0], int):
        raise ModelDamaged(f"{graph}'s '{node.name}' has {node.shape[0]} on its first axis, which must be the batch's")
    axes = [axis if axis is not None else f"axis_{place}" for place, axis in enumerate(node.shape)]
    return TensorSpec(node.name, DTYPES[node.type], tuple(axes[1:]))


def _twice(array: Rows) -> Rows:
    return array[np.zeros(2, np.intp)] if isinstance(array, DeviceArray) else array.repeat(2, 0)


def _batch_at(array: Rows, axis: int) -> Rows:
    if isinstance(array, DeviceArray):
        return array.moveaxis(0, axis)
    return np.ascontiguousarray(np.moveaxis(array, 0, axis))


def _batch_first(array: Rows, axis: int, name: str) -> Rows:
    if len(array.shape) <= axis:
        raise ModelDamaged(f"the graph's output '{name}' has no axis {axis}, the manifest's batch_axis")
    return array.moveaxis(axis, 0) if isinstance(array, DeviceArray) else np.moveaxis(array, axis, 0)
