"""The table of cells that ONNX has a node for, and the nodes that compute them over time."""

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from training.architectures.lstm import LSTM
from training.cell import Cell
from training.export.builder import Attribute, Builder

# Given the builder, the cell, the name of its inputs [batch, time, features], and what its own names begin with:
# returns the name of its outputs, having written `next_state.*` for every state.
Nodes = Callable[[Builder, Cell, str, str], str]


def lstm_nodes(build: Builder, cell: Cell, xs: str, at: str) -> str:
    """Write an LSTM node; ONNX orders the gates i, o, f, c."""
    assert isinstance(cell, LSTM)
    weights = [_onnx_order(_array(weight)) for weight in (cell.U, cell.W, cell.b)]
    return _recurrent_node(build, "LSTM", cell, xs, at, *weights)


def _recurrent_node(
    build: Builder, operator: str, cell: Cell, xs: str, at: str, *weights: np.ndarray, **attributes: Attribute
) -> str:
    """Write a recurrent node of one direction, time-major inside; of its two biases ours is the inputs'."""
    *matrices, b = weights
    both = [*matrices, np.concatenate([b, np.zeros_like(b)])]
    constants = [build.constant(f"cell.{at}{name}", value[None]) for name, value in zip("UWb", both, strict=True)]
    first, second = (build.constant(f"axis.{axis}", np.array([axis], np.int64)) for axis in (0, 1))
    names = list(cell.init_state(1))
    states = [build.node("Unsqueeze", f"state.{at}{name}", first) for name in names]
    lengths = build.node("Cast", "lengths", to=build.INT32)
    time_major = build.node("Transpose", xs, perm=[1, 0, 2])
    ys, *last = build.nodes(
        operator,
        time_major,
        *constants,
        lengths,
        *states,
        outputs=1 + len(names),
        hidden_size=cell.output_size,
        **attributes,
    )
    for name, state in zip(names, last, strict=True):
        build.node("Squeeze", state, first, output=f"next_state.{at}{name}")
    return build.node("Transpose", build.node("Squeeze", ys, second), perm=[1, 0, 2])


def _array(parameter: Tensor) -> np.ndarray:
    return np.asarray(parameter.detach().cpu())


def _onnx_order(gates: np.ndarray) -> np.ndarray:
    i, f, g, o = np.split(gates, 4)
    return np.concatenate([i, o, f, g])


CELLS: Mapping[type[Cell], Nodes] = {
    LSTM: lstm_nodes,
}
