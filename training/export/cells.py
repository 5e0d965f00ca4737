"""The table of cells that ONNX has a node for, and the nodes that compute them over time."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from training.architectures.gru import GRU, MinimalGatedUnit
from training.architectures.lstm import LSTM
from training.architectures.lstm_variants import CoupledLSTM, PeepholeLSTM
from training.architectures.rnn import RNN
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
    build: Builder,
    operator: str,
    cell: Cell,
    xs: str,
    at: str,
    *weights: np.ndarray,
    more: Sequence[str] = (),
    **attributes: Attribute,
) -> str:
    """Write a recurrent node of one direction, time-major inside; of its two biases ours is the inputs'."""
    *matrices, b = weights
    both = [*matrices, np.concatenate([b, np.zeros_like(b)])]
    constants = [build.constant(f"cell.{at}{name}", value[None]) for name, value in zip("UWb", both, strict=True)]
    first, second = (build.constant(f"axis.{axis}", np.array([axis], np.int64)) for axis in (0, 1))
    names = list(cell.init_state(1))
    states = [build.node("Unsqueeze", f"state.{at}{name}", first) for name in names]
    lengths = build.node("Cast", build.steps.lengths, to=build.INT32)
    time_major = build.node("Transpose", xs, perm=[1, 0, 2])
    ys, *last = build.nodes(
        operator,
        time_major,
        *constants,
        lengths,
        *states,
        *more,
        outputs=1 + len(names),
        hidden_size=cell.output_size,
        **attributes,
    )
    for name, state in zip(names, last, strict=True):
        build.node("Squeeze", state, first, output=f"next_state.{at}{name}")
    return build.node("Transpose", build.node("Squeeze", ys, second), perm=[1, 0, 2])


def _array(parameter: Tensor) -> np.ndarray:
    return np.asarray(parameter.detach().cpu())


def in_order(gates: list[np.ndarray]) -> np.ndarray:
    """Lay the gates out one after the other."""
    return np.concatenate(gates)


def _onnx_order(gates: np.ndarray) -> np.ndarray:
    i, f, g, o = np.split(gates, 4)
    return in_order([i, o, f, g])


def peephole_nodes(build: Builder, cell: Cell, xs: str, at: str) -> str:
    """Write an LSTM node with peepholes, in ONNX's order i, o, f."""
    assert isinstance(cell, PeepholeLSTM)
    i, f, o = np.split(_array(cell.P), 3)
    peepholes = build.constant(f"cell.{at}P", np.concatenate([i, o, f])[None])
    weights = [_onnx_order(_array(weight)) for weight in (cell.U, cell.W, cell.b)]
    return _recurrent_node(build, "LSTM", cell, xs, at, *weights, more=(peepholes,))


def coupled_nodes(build: Builder, cell: Cell, xs: str, at: str) -> str:
    """Write an LSTM node that takes 1 - i for f; ONNX has a place for f's weights, which it does not read."""
    assert isinstance(cell, CoupledLSTM)
    parts = [np.split(_array(weight), 3) for weight in (cell.U, cell.W, cell.b)]
    weights = [in_order([i, o, np.zeros_like(i), g]) for i, g, o in parts]
    return _recurrent_node(build, "LSTM", cell, xs, at, *weights, input_forget=1)


def rnn_nodes(build: Builder, cell: Cell, xs: str, at: str) -> str:
    """Write an RNN node."""
    assert isinstance(cell, RNN)
    weights = [_array(weight) for weight in (cell.U, cell.W, cell.b)]
    return _recurrent_node(build, "RNN", cell, xs, at, *weights, activations=[cell.activation.capitalize()])


def gru_nodes(build: Builder, cell: Cell, xs: str, at: str) -> str:
    """Write a GRU node, in ONNX's order z, r, n."""
    assert isinstance(cell, GRU)
    parts = [np.split(_array(weight), 3) for weight in (cell.U, cell.W, cell.b)]
    weights = [in_order([z, r, n]) for r, z, n in parts]
    return _recurrent_node(build, "GRU", cell, xs, at, *weights, linear_before_reset=int(cell.reset == "after"))


def minimal_gated_nodes(build: Builder, cell: Cell, xs: str, at: str) -> str:
    """Write a GRU node whose update gate is the reset gate's opposite: sigmoid(-a) is 1 - sigmoid(a)."""
    assert isinstance(cell, MinimalGatedUnit)
    parts = [np.split(_array(weight), 2) for weight in (cell.U, cell.W, cell.b)]
    return _recurrent_node(build, "GRU", cell, xs, at, *(in_order([-f, f, n]) for f, n in parts))


CELLS: Mapping[type[Cell], Nodes] = {
    LSTM: lstm_nodes,
    CoupledLSTM: coupled_nodes,
    PeepholeLSTM: peephole_nodes,
    RNN: rnn_nodes,
    GRU: gru_nodes,
    MinimalGatedUnit: minimal_gated_nodes,
}
