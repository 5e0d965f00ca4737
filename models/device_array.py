"""Rows of a tensor on a device: taken, written and looked at there; the host is given only what it asks for."""

import functools
import math
from collections.abc import Sequence
from typing import final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from models.device import CPU, place_of
from models.onnx_bytes import Node, Tensor, element, graph_bytes
from models.session import open_session, quiet, run_bound
from models.tensors import DTYPES, NUMPY, Array, DType

Places = NDArray[np.integer]

_MOVE = (Node("Gather", ("source", "rows"), "taken"), Node("ScatterND", ("target", "places", "taken"), "moved"))


@final
class DeviceArray:
    """An array `[rows, …]` on a device, used as NumPy's are; what is taken from it is a copy on that device.

    Attributes:
        value: what ONNX Runtime's graphs take.
        shape, dtype: as NumPy has them.
    """

    def __init__(self, value: ort.OrtValue, device: str) -> None:
        self.value = value
        self.shape: tuple[int, ...] = tuple(value.shape())
        self._device = device
        self._dtype = DTYPES[value.data_type()]
        self.dtype = NUMPY[self._dtype]

    @staticmethod
    def empty(shape: Sequence[int], dtype: np.dtype, device: str) -> "DeviceArray":
        """Allocate an array that holds nothing yet; raises MemoryError where the device has no room for it."""
        try:
            value = ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, *place_of(device))
        except (Fail, RuntimeException, RuntimeError) as error:
            raise MemoryError(f"{device} has no room for {dtype} {list(shape)}") from error
        return DeviceArray(value, device)

    @staticmethod
    def of(array: Array, device: str) -> "DeviceArray":
        """Copy an array to a device; raises MemoryError."""
        copied = DeviceArray.empty(array.shape, array.dtype, device)
        copied[np.arange(len(array))] = array
        return copied

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    def __getitem__(self, rows: Places | slice) -> "DeviceArray":
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        taken = DeviceArray.empty((len(rows), *self.shape[1:]), self.dtype, self._device)
        taken.put(np.arange(len(rows)), self, rows)
        return taken

    def __setitem__(self, places: Places, source: "Rows") -> None:
        self.put(places, source, np.arange(len(source)))

    def put(self, places: Places, source: "Rows", rows: Places) -> None:
        """Write `rows` of another array to `places` of this one, in place: its other rows are not touched.

        Args:
            places: each once.
            source: an array of the same datatype, here or on the host.
            rows: as many as places.
        """
        if not len(places):
            return
        session = _mover(self._dtype, len(self.shape), self._device)
        feeds = {
            "source": _bindable(source),
            "rows": rows.astype(np.int64, copy=False),
            "target": self.value,
            "places": places.astype(np.int64, copy=False)[:, None],
        }
        run_bound(session, feeds, {"moved": self.value}, quiet())

    def moveaxis(self, source: int, destination: int) -> "DeviceArray":
        """Move an axis to another place, as NumPy does."""
        axes = [axis for axis in range(len(self.shape)) if axis != source]
        axes.insert(destination, source)
        session = _turner(self._dtype, tuple(axes), self._device)
        [turned] = run_bound(session, {"source": self.value}, {"turned": self._device}, quiet())
        return DeviceArray(turned, self._device)

    def finite_rows(self) -> NDArray[np.bool_]:
        """Tell which rows are finite, `[rows]`; of the array itself nothing comes to the host."""
        if self.dtype.kind != "f":
            return np.ones(len(self), np.bool_)
        session = _looker(self._dtype, len(self.shape), self._device)
        [odd] = run_bound(session, {"source": self.value}, {"odd": CPU}, quiet())
        return np.asarray(np.logical_not(odd.numpy()))

    def numpy(self) -> Array:
        """Copy the array to the host."""
        array: Array = self.value.numpy()
        return array


Rows = Array | DeviceArray


def on_host(rows: Rows) -> Array:
    """Give an array of the host: the same, or a copy of what is on a device."""
    return rows if isinstance(rows, np.ndarray) else rows.numpy()


def joined(parts: Sequence[Rows], places: Sequence[Places]) -> Rows:
    """Put parts of a batch together, the rows of each at their places; raises ValueError where their shapes differ."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate([on_host(part) for part in parts])[np.argsort(np.concatenate(places))]
    whole = DeviceArray.empty((sum(map(len, places)), *first.shape[1:]), first.dtype, first._device)
    for part, rows in zip(parts, places, strict=True):
        if part.shape[1:] != first.shape[1:]:
            raise ValueError("parts of one batch have different shapes")
        whole[rows] = part
    return whole


def _bindable(rows: Rows) -> Array | ort.OrtValue:
    return rows if isinstance(rows, np.ndarray) else rows.value


@functools.cache
def _mover(dtype: DType, rank: int, device: str) -> ort.InferenceSession:
    indices = (Tensor("rows", "INT64", 1), Tensor("places", "INT64", 2))
    arrays = (Tensor("source", dtype, rank), Tensor("target", dtype, rank))
    return open_session(graph_bytes(_MOVE, (*arrays, *indices), [Tensor("moved", dtype, rank)]), device=device)


@functools.cache
def _turner(dtype: DType, axes: tuple[int, ...], device: str) -> ort.InferenceSession:
    nodes = [Node("Transpose", ("source",), "turned", {"perm": axes})]
    graph = graph_bytes(nodes, [Tensor("source", dtype, len(axes))], [Tensor("turned", dtype, len(axes))])
    return open_session(graph, device=device)


@functools.cache
def _looker(dtype: DType, rank: int, device: str) -> ort.InferenceSession:
    # What is finite is zero when taken from itself, and anything else is NaN, which a sum keeps.
    wide: DType = "FP64" if dtype == "FP64" else "FP32"
    nodes = (
        Node("Cast", ("source",), "wide", {"to": element(wide)}),
        Node("Flatten", ("wide",), "flat", {"axis": 1}),
        Node("Sub", ("flat", "flat"), "zeros"),
        Node("ReduceSum", ("zeros",), "sum", {"axes": (1,), "keepdims": 0}),
        Node("IsNaN", ("sum",), "odd"),
    )
    graph = graph_bytes(nodes, [Tensor("source", dtype, rank)], [Tensor("odd", "BOOL", 1)])
    return open_session(graph, device=device)
