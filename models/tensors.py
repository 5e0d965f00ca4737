"""Datatypes as the wire, the manifest, numpy and ONNX Runtime name them, and shapes with named axes."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Arrays = dict[str, Array]

DType = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"
]

TIME = "time"
Axis = int | str
Shape = tuple[Axis, ...]

NUMPY: dict[DType, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}

ONNX_RUNTIME: dict[DType, str] = {
    "BOOL": "tensor(bool)",
    "UINT8": "tensor(uint8)",
    "UINT16": "tensor(uint16)",
    "UINT32": "tensor(uint32)",
    "UINT64": "tensor(uint64)",
    "INT8": "tensor(int8)",
    "INT16": "tensor(int16)",
    "INT32": "tensor(int32)",
    "INT64": "tensor(int64)",
    "FP16": "tensor(float16)",
    "FP32": "tensor(float)",
    "FP64": "tensor(double)",
}
DTYPES: dict[str, DType] = {text: dtype for dtype, text in ONNX_RUNTIME.items()}


def fixed_shape(shape: Shape) -> tuple[int, ...]:
    """Give a shape whose axes are all numbers; a free axis counts as one."""
    return tuple(axis if isinstance(axis, int) else 1 for axis in shape)


def fits(sizes: Sequence[int], shape: Shape) -> bool:
    """Tell whether an array's axes are as expected; one with a name may have any size."""
    return len(sizes) == len(shape) and all(
        isinstance(axis, str) or axis == size for size, axis in zip(sizes, shape, strict=True)
    )


def describe_shape(shape: Shape, *, batched: bool = True) -> str:
    """Write a shape as people read it: `[batch, time, 32]`."""
    axes = (("batch",) if batched else ()) + tuple(str(axis) for axis in shape)
    return f"[{', '.join(axes)}]"
