"""The start graph of a cell that is told what a sequence is about, or written from: from that to its first state."""

import copy
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn
from typing_extensions import override

from training.cell import Conditioned, Sourced, State
from training.export.builder import Builder
from training.export.recurrence import from_the_beginning
from training.export.trace import ROWS, Traces, trace
from training.export.valid import write_valid
from training.model import SequenceModel

CONTEXT, SOURCE = "context", "source"


def export_start(model: SequenceModel) -> bytes | None:
    """Write `context [batch, context] -> state.*`, or `source [batch, source] -> state.*` of rows of one length.

    None for a cell that is told nothing.
    """
    if isinstance(model.cell, Sourced):
        return _from_source(copy.deepcopy(model.cell).cpu().float())
    if isinstance(model.cell, Conditioned):
        return _from_context(copy.deepcopy(model.cell).cpu().float())
    return None


def _from_context(cell: Conditioned) -> bytes:
    names = list(cell.init_state(1))
    context = torch.zeros(ROWS, cell.context_size)
    traced = trace(_Begin(cell, names), (context,), [CONTEXT], [f"state.{name}" for name in names])
    build = Builder()
    build.copy(traced.node, traced.initializer)
    return build.finish(list(traced.input), list(traced.output))


def _from_source(cell: Sourced) -> bytes:
    """Write the encoder as nodes over the source's axis, and what is made of its annotations as traced."""
    build = Builder()
    build.node("Identity", SOURCE, output="x")
    rows, length = build.node("Shape", "x", start=0, end=1), build.node("Shape", "x", start=1, end=2)
    build.node("Expand", length, rows, output="lengths")
    write_valid(build)
    table = np.asarray(cell.embedding.weight.detach())
    xs = build.node("Gather", build.constant("source.embedding", table), _symbols_alone(build, len(table)))
    annotations = from_the_beginning(build, cell.encoder, xs, "encoder.", Traces())
    zero = build.constant("zero", np.zeros(1, np.float32))
    names = list(cell.init_state(1))
    given = [torch.zeros(ROWS, ROWS + 1, cell.encoder.output_size), torch.full((ROWS,), ROWS + 1)]
    made = [f"state.{name}" for name in names]
    traced = trace(_BeginFrom(cell, names), (given,), ["annotations", "annotated"], made, free=[SOURCE, None])
    build.node("Where", build.steps.valid, annotations, zero, output="annotations")
    build.node("Identity", "lengths", output="annotated")
    build.copy(traced.node, traced.initializer)
    source = helper.make_tensor_value_info(SOURCE, TensorProto.INT64, ["batch", SOURCE])
    return build.finish([source], list(traced.output))


def _symbols_alone(build: Builder, symbols: int) -> str:
    """Write the source with what is below zero beyond the last symbol: Gather would count it from the end."""
    none, beyond = (build.constant(f"symbols.{n}", np.array(n, np.int64)) for n in (0, symbols))
    return build.node("Where", build.node("Less", "x", none), beyond, "x")


@final
class _Begin(nn.Module):
    """A cell's beginning with its states in a fixed order, as the exporter needs it."""

    def __init__(self, cell: Conditioned, names: Sequence[str]) -> None:
        super().__init__()
        self.cell = cell
        self.names = names

    @override
    def forward(self, context: Tensor) -> list[Tensor]:
        return _in_order(self.cell.begin(context), self.names)


@final
class _BeginFrom(nn.Module):
    """The same of a cell that begins from annotations."""

    def __init__(self, cell: Sourced, names: Sequence[str]) -> None:
        super().__init__()
        self.cell = cell
        self.names = names

    @override
    def forward(self, given: list[Tensor]) -> list[Tensor]:
        annotations, lengths = given
        return _in_order(self.cell.begin(annotations, lengths), self.names)


def _in_order(state: State, names: Sequence[str]) -> list[Tensor]:
    # What is given on as it came needs a node of its own to have another name.
    return [state[name] + 0 for name in names]
