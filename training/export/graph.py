"""The whole model as one graph: batch first, batch and time free, `lengths`, states in and out by name."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper
from torch import Tensor

from training.errors import TrainingError
from training.export.builder import Builder
from training.export.cells import CELLS
from training.model import SequenceModel


def export(model: SequenceModel) -> bytes:
    """Write `x [batch, time], lengths [batch], state.* -> y [batch, time, symbols], next_state.*`; `y` are logits.

    Raises:
        TrainingError: the cell is not in the table of cells that can be exported.
    """
    nodes = CELLS.get(type(model.cell))
    if nodes is None:
        raise TrainingError(f"a {type(model.cell).__name__} has no export yet; `--until train` stops before it")
    build = Builder()
    embedded = build.node("Gather", build.constant("embedding", _array(model.embedding.weight)), "x")
    ys = nodes(build, model.cell, embedded)
    read = build.node("MatMul", ys, build.constant("readout.weight", _array(model.readout.weight).T))
    logits = build.node("Add", read, build.constant("readout.bias", _array(model.readout.bias)))
    # Masked after the readout, whose bias would show in the padding.
    build.node("Where", _valid(build), logits, build.constant("zero", np.zeros(1, np.float32)), output="y")
    return build.finish(*_interface(model))


def _valid(build: Builder) -> str:
    """Which steps are within their row's length, `[batch, time, 1]`."""
    zero, one = build.constant("from", np.array(0, np.int64)), build.constant("by", np.array(1, np.int64))
    first, second = build.constant("axis.0", np.array([0], np.int64)), build.constant("axis.1", np.array([1], np.int64))
    time = build.node("Squeeze", build.node("Shape", "x", start=1, end=2), first)
    steps = build.node("Range", zero, time, one)
    within = build.node("Less", steps, build.node("Unsqueeze", "lengths", second))
    return build.node("Unsqueeze", within, build.constant("axis.2", np.array([2], np.int64)))


def _interface(model: SequenceModel) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    into = [_integers("x", "batch", "time"), _integers("lengths", "batch")]
    out = [_floats("y", ["batch", "time", model.symbols])]
    for name, tensor in model.cell.init_state(1).items():
        into.append(_floats(f"state.{name}", ["batch", *tensor.shape[1:]]))
        out.append(_floats(f"next_state.{name}", ["batch", *tensor.shape[1:]]))
    return into, out


def _integers(name: str, *axes: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, axes)


def _floats(name: str, axes: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)


def _array(parameter: Tensor) -> np.ndarray:
    return np.asarray(parameter.detach().cpu())
