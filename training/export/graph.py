"""The whole model as one graph: batch first, batch and time free, `lengths`, states in and out by name."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper
from torch import Tensor, nn

from training.cell import state_shapes
from training.export.builder import Builder
from training.export.recurrence import has_native, one_step, over_time
from training.export.trace import Traces
from training.export.valid import write_valid
from training.model import AsTheyAre, Fields, SequenceModel


def export(model: SequenceModel, traces: Traces | None = None) -> bytes:
    """Write `x [batch, time, …], lengths [batch], state.* -> y [batch, time, outputs], next_state.*`.

    Args:
        model: the model; it is exported as it answers, not as it trains.
        traces: of the cells, to share with `export_step`.
    """
    traces = traces or Traces()
    build = Builder()
    write_valid(build)
    answers = _answers(build, model, over_time(build, model.cell, _embedded(build, model), "", traces))
    # Masked after the readout, whose bias would show in the padding.
    zero = build.constant("zero", np.zeros(1, np.float32))
    build.node("Where", build.steps.valid, answers, zero, output="y")
    for name in model.cell.tells:
        build.node("Where", build.steps.valid, f"told.{name}", zero, output=name)
    return build.finish(*_interface(model))


def export_step(model: SequenceModel, traces: Traces | None = None) -> bytes | None:
    """Write one step without lengths, `x [batch, …], state.* -> y [batch, outputs], next_state.*`.

    None for a model whose main graph has native nodes, which differ from a bare step in their last bits, and for one
    that needs the whole sequence.
    """
    if has_native(model.cell) or not model.cell.causal:
        return None
    build = Builder()
    y = one_step(build, model.cell, _embedded(build, model, step=True), "", traces or Traces())
    build.node("Identity", _answers(build, model, y), output="y")
    for name in model.cell.tells:
        build.node("Identity", f"told.{name}", output=name)
    return build.finish(*_interface(model, step=True))


def _embedded(build: Builder, model: SequenceModel, *, step: bool = False) -> str:
    embedding = model.embedding
    if isinstance(embedding, AsTheyAre):
        if embedding.fields:
            return "x"
        return build.node("Unsqueeze", "x", build.constant("last axis", np.array([-1], np.int64)))
    if isinstance(embedding, Fields):
        rows = build.node("Gather", build.constant("embedding", _array(embedding.table.weight)), "x")
        kept = [0] if step else [0, 0]
        return build.node("Reshape", rows, build.constant("side by side", np.array([*kept, embedding.output_size])))
    if isinstance(embedding, nn.Embedding):
        return build.node("Gather", build.constant("embedding", _array(embedding.weight)), "x")
    x = "x"
    if embedding.units is not None:
        less = build.node("Sub", x, build.constant("inputs.mean", _array(embedding.units.mean)))
        x = build.node("Div", less, build.constant("inputs.deviation", _array(embedding.units.deviation)))
    return x if embedding.dense is None else _linear(build, "dense", embedding.dense, x)


def _answers(build: Builder, model: SequenceModel, ys: str) -> str:
    read = ys if model.readout is None else _linear(build, "readout", model.readout, ys)
    if model.units is None:
        return read
    scaled = build.node("Mul", read, build.constant("outputs.deviation", _array(model.units.deviation)))
    return build.node("Add", scaled, build.constant("outputs.mean", _array(model.units.mean)))


def _linear(build: Builder, name: str, layer: nn.Linear, x: str) -> str:
    product = build.node("MatMul", x, build.constant(f"{name}.weight", _array(layer.weight).T))
    return build.node("Add", product, build.constant(f"{name}.bias", _array(layer.bias)))


def _interface(
    model: SequenceModel, *, step: bool = False
) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    axes = ["batch"] if step else ["batch", "time"]
    dtypes = {name: tensor.dtype for name, tensor in model.cell.init_state(1).items()}
    kind = TensorProto.INT64 if model.symbols else TensorProto.FLOAT
    into = [_tensor("x", kind, [*axes, *model.step_axes])]
    into += [] if step else [_tensor("lengths", TensorProto.INT64, ["batch"])]
    out = [_tensor("y", TensorProto.FLOAT, [*axes, model.outputs])]
    out += [_tensor(name, TensorProto.FLOAT, [*axes, axis]) for name, axis in model.cell.tells.items()]
    for name, shape in state_shapes(model.cell).items():
        kind = TensorProto.FLOAT if dtypes[name].is_floating_point else TensorProto.INT64
        into.append(_tensor(f"state.{name}", kind, ["batch", *shape]))
        out.append(_tensor(f"next_state.{name}", kind, ["batch", *shape]))
    return into, out


def _tensor(name: str, kind: int, axes: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, axes)


def _array(parameter: Tensor) -> np.ndarray:
    return np.asarray(parameter.detach().cpu())
