"""How a cell becomes nodes: the native one of its kind where ONNX has it, else a Scan over its traced step."""

import numpy as np

from training.architectures.bidirectional import Bidirectional
from training.architectures.grid import Grid
from training.architectures.gru import GRU
from training.architectures.multidimensional_lstm import MultidimensionalLSTM
from training.architectures.stack import Stack
from training.architectures.tree import Tree
from training.cell import Cell
from training.export.bidirectional import bidirectional_nodes
from training.export.builder import Builder
from training.export.cells import CELLS
from training.export.grid import grid_nodes
from training.export.multidimensional_lstm import multidimensional_nodes
from training.export.scan import scan_nodes, step_nodes
from training.export.stack import stack_nodes
from training.export.trace import Traces
from training.export.tree import tree_nodes


def over_time(build: Builder, cell: Cell, xs: str, at: str, traces: Traces) -> str:
    """Write a cell over time, `[batch, time, features]` in and out; its names begin with `at`."""
    if isinstance(cell, Stack):
        layers = over_time if cell.causal else from_the_beginning
        return stack_nodes(build, cell, xs, at, lambda layer, read, place: layers(build, layer, read, place, traces))
    if isinstance(cell, Bidirectional):
        return bidirectional_nodes(
            build, cell, xs, at, lambda one, read, place: from_the_beginning(build, one, read, place, traces)
        )
    if isinstance(cell, Grid):
        return grid_nodes(build, cell, xs, at, lambda one, read, place: over_time(build, one, read, place, traces))
    if isinstance(cell, MultidimensionalLSTM):
        return multidimensional_nodes(build, cell, xs, at)
    if isinstance(cell, Tree):
        return tree_nodes(build, cell, xs, at, traces)
    if has_native(cell):
        return CELLS[type(cell)](build, cell, xs, at)
    return scan_nodes(build, cell, xs, at, traces)


def from_the_beginning(build: Builder, cell: Cell, xs: str, at: str, traces: Traces) -> str:
    """Write a cell over time that begins at its first state, whatever the sequence."""
    rows = build.node("Shape", build.steps.of, start=0, end=1)
    for name, tensor in cell.init_state(1).items():
        first = build.constant(f"cell.{at}first.{name}", np.asarray(tensor.detach().cpu()))
        axes = build.constant(f"cell.{at}axes.{name}", np.array(tensor.shape[1:], np.int64))
        build.node("Expand", first, build.node("Concat", rows, axes, axis=0), output=f"state.{at}{name}")
    return over_time(build, cell, xs, at, traces)


def one_step(build: Builder, cell: Cell, x: str, at: str, traces: Traces) -> str:
    """Write one step of a cell that has no native node, `[batch, features]` in and out."""
    if isinstance(cell, Stack):
        return stack_nodes(build, cell, x, at, lambda layer, read, place: one_step(build, layer, read, place, traces))
    return step_nodes(build, cell, x, at, traces)


def has_native(cell: Cell) -> bool:
    """Whether any part of a cell has a native node."""
    if isinstance(cell, Stack):
        return any(has_native(layer) for layer in cell.layers)
    if isinstance(cell, Bidirectional):
        return has_native(cell.forward_cell) or has_native(cell.backward_cell)
    return type(cell) in CELLS and not (isinstance(cell, GRU) and cell.reset == "none")
