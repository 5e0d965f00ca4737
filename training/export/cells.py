"""The table of cells that ONNX has a node for, and the nodes that compute them over time."""

from collections.abc import Callable, Mapping

import numpy as np

from training.architectures.lstm import LSTM
from training.cell import Cell
from training.export.builder import Builder

# Given the builder, the cell, and the name of its inputs [batch, time, features]: returns the name of its outputs,
# having written `next_state.*` for every state.
Nodes = Callable[[Builder, Cell, str], str]


def lstm_nodes(build: Builder, cell: Cell, xs: str) -> str:
    """Write an LSTM node; ONNX orders the gates i, o, f, c and is time-major inside."""
    assert isinstance(cell, LSTM)
    weights = {
        "U": _onnx_order(cell.U.detach().numpy()),
        "W": _onnx_order(cell.W.detach().numpy()),
        "b": _onnx_order(cell.b.detach().numpy()),
    }
    bias = np.concatenate([weights["b"], np.zeros_like(weights["b"])])
    names = [build.constant("cell.U", weights["U"][None]), build.constant("cell.W", weights["W"][None])]
    names.append(build.constant("cell.b", bias[None]))
    first = build.constant("axis.0", np.array([0], np.int64))
    states = [build.node("Unsqueeze", f"state.{name}", first) for name in ("h", "c")]
    lengths = build.node("Cast", "lengths", to=build.INT32)
    time_major = build.node("Transpose", xs, perm=[1, 0, 2])
    ys, h, c = build.nodes("LSTM", time_major, *names, lengths, *states, outputs=3, hidden_size=cell.output_size)
    build.node("Squeeze", h, first, output="next_state.h")
    build.node("Squeeze", c, first, output="next_state.c")
    one_direction = build.node("Squeeze", ys, build.constant("axis.1", np.array([1], np.int64)))
    return build.node("Transpose", one_direction, perm=[1, 0, 2])


def _onnx_order(gates: np.ndarray) -> np.ndarray:
    i, f, g, o = np.split(gates, 4)
    return np.concatenate([i, o, f, g])


CELLS: Mapping[type[Cell], Nodes] = {
    LSTM: lstm_nodes,
}
