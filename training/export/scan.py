"""A traced step as nodes: inside an ONNX Scan over time, or bare for one step."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from training.cell import Cell
from training.export.builder import Builder
from training.export.trace import Traces

VALID = "valid"


def scan_nodes(build: Builder, cell: Cell, xs: str, at: str, traces: Traces) -> str:
    """Write a Scan over a cell's step, from `[batch, time, features]` and `valid [batch, time, 1]` to the outputs.

    Past a row's length its states stay as they are; what it puts out there is for the reader to mask.
    """
    step = traces.step(cell, f"{at}step.")
    build.copy([], step.initializer)
    inner = Builder(f"{at}step.")
    inner.copy(step.node)
    x, *states = step.input
    of = dict(zip(cell.init_state(1), states, strict=True))
    names = [name for name in of if name not in cell.constant]
    y, next_states, told = step.output[0], step.output[1 : 1 + len(names)], step.output[1 + len(names) :]
    # What no step changes is read where it is, outside, instead of being carried on.
    for name in of.keys() & cell.constant:
        build.node("Identity", f"state.{at}{name}", output=of[name].name)
    _keep_constants(build, cell, at)
    states = [of[name] for name in names]
    kept = [_kept(inner, f"{at}step.{VALID}", old, new) for old, new in zip(states, next_states, strict=True)]
    valid = helper.make_tensor_value_info(f"{at}step.{VALID}", TensorProto.BOOL, ["batch", 1])
    build.nodes(
        "Scan",
        *(f"state.{at}{name}" for name in names),
        xs,
        build.steps.valid,
        outputs=[
            *(f"next_state.{at}{name}" for name in names),
            f"{at}ys",
            *(f"told.{at}{name}" for name in cell.tells),
        ],
        body=inner.body([*states, x, valid], [*kept, y, *told]),
        num_scan_inputs=2,
        scan_input_axes=[1, 1],
        scan_output_axes=[1] * (1 + len(told)),
    )
    return f"{at}ys"


def _kept(inner: Builder, valid: str, old: onnx.ValueInfoProto, new: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """Write what a state is after the step: the new one in rows that have the step, otherwise the old."""
    rank = len(old.type.tensor_type.shape.dim)
    if rank > 2:
        axes = inner.constant(f"{valid}.axes.{rank}", np.arange(2, rank))
        valid = inner.node("Unsqueeze", valid, axes)
    name = inner.node("Where", valid, new.name, old.name)
    return onnx.ValueInfoProto(name=name, type=old.type)


def step_nodes(build: Builder, cell: Cell, x: str, at: str, traces: Traces) -> str:
    """Write a cell's step bare, from `[batch, features]` to the outputs `[batch, features]`."""
    step = traces.step(cell, f"{at}step.")
    outer = [x, *(f"state.{at}{name}" for name in cell.init_state(1))]
    for name, inside in zip(outer, step.input, strict=True):
        build.node("Identity", name, output=inside.name)
    build.copy(step.node, step.initializer)
    changing = [name for name in cell.init_state(1) if name not in cell.constant]
    y, *others = step.output
    outside = [*(f"next_state.{at}{name}" for name in changing), *(f"told.{at}{name}" for name in cell.tells)]
    for name, inside in zip(outside, others, strict=True):
        build.node("Identity", inside.name, output=name)
    _keep_constants(build, cell, at)
    return y.name


def _keep_constants(build: Builder, cell: Cell, at: str) -> None:
    """Give on the states that no step changes."""
    for name in sorted(cell.constant):
        build.node("Identity", f"state.{at}{name}", output=f"next_state.{at}{name}")
