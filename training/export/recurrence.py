"""How a cell becomes nodes: the native one of its kind where ONNX has it, else a Scan over its traced step."""

from training.cell import Cell
from training.export.builder import Builder
from training.export.cells import CELLS
from training.export.scan import scan_nodes, step_nodes
from training.export.trace import Traces


def over_time(build: Builder, cell: Cell, xs: str, at: str, traces: Traces) -> str:
    """Write a cell over time, `[batch, time, features]` in and out; its names begin with `at`."""
    if (native := CELLS.get(type(cell))) is not None:
        return native(build, cell, xs, at)
    return scan_nodes(build, cell, xs, at, traces)


def one_step(build: Builder, cell: Cell, x: str, at: str, traces: Traces) -> str:
    """Write one step of a cell that has no native node, `[batch, features]` in and out."""
    return step_nodes(build, cell, x, at, traces)


def has_native(cell: Cell) -> bool:
    """Whether any part of a cell has a native node."""
    return type(cell) in CELLS
