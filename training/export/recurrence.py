"""How a cell becomes nodes: the native one of its kind where ONNX has it, else a Scan over its traced step."""

from training.architectures.gru import GRU
from training.architectures.stack import Stack
from training.cell import Cell
from training.export.builder import Builder
from training.export.cells import CELLS
from training.export.scan import scan_nodes, step_nodes
from training.export.stack import stack_nodes
from training.export.trace import Traces


def over_time(build: Builder, cell: Cell, xs: str, at: str, traces: Traces) -> str:
    """Write a cell over time, `[batch, time, features]` in and out; its names begin with `at`."""
    if isinstance(cell, Stack):
        return stack_nodes(build, cell, xs, at, lambda layer, read, place: over_time(build, layer, read, place, traces))
    if has_native(cell):
        return CELLS[type(cell)](build, cell, xs, at)
    return scan_nodes(build, cell, xs, at, traces)


def one_step(build: Builder, cell: Cell, x: str, at: str, traces: Traces) -> str:
    """Write one step of a cell that has no native node, `[batch, features]` in and out."""
    if isinstance(cell, Stack):
        return stack_nodes(build, cell, x, at, lambda layer, read, place: one_step(build, layer, read, place, traces))
    return step_nodes(build, cell, x, at, traces)


def has_native(cell: Cell) -> bool:
    """Whether any part of a cell has a native node."""
    if isinstance(cell, Stack):
        return any(has_native(layer) for layer in cell.layers)
    return type(cell) in CELLS and not (isinstance(cell, GRU) and cell.reset == "none")
