"""Cells that are broken in one place each, every one of which must turn the suite red."""

import inspect
import sys
import textwrap
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conformance.cells import CASES, HIDDEN, INPUT, Kind, case, one_thread
from tests.conformance.test_cells import (
    check_chunks_are_as_whole,
    check_fused_gradients_are_those_of_step,
    check_ragged_rows_are_as_alone,
    check_rows_do_not_mix,
    check_scan_is_step_repeated,
    check_the_first_state_matters,
    check_the_future_does_not_reach_back,
    check_the_graph_answers_as_torch,
    check_the_step_is_the_papers,
    repeat_step,
)
from training.architectures import differentiable_neural_computer, neural_turing_machine, turing_memory
from training.architectures.clockwork import Clockwork
from training.architectures.deep_transition import DeepTransition
from training.architectures.delays import Delays
from training.architectures.differentiable_neural_computer import DifferentiableNeuralComputer
from training.architectures.echo_state import EchoState
from training.architectures.gru import GRU, MinimalGatedUnit
from training.architectures.leaky import Leaky
from training.architectures.lstm import LSTM
from training.architectures.lstm_variants import LSTM1997, CoupledLSTM, PeepholeLSTM, ProjectedLSTM
from training.architectures.neural_turing_machine import FeedForward, NeuralTuringMachine
from training.architectures.output_recurrence import OutputRecurrence
from training.architectures.rnn import RNN
from training.architectures.vector_to_sequence import VectorToSequence
from training.cell import Cell, State
from training.export import cells

__all__ = ["one_thread"]


def swapped_gates(self: LSTM, x: Tensor, state: State) -> tuple[Tensor, State]:
    f, i, g, o = (x @ self.U.T + state["h"] @ self.W.T + self.b).chunk(4, dim=-1)
    c = f.sigmoid() * state["c"] + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return h, {"h": h, "c": c}


def without_lengths(self: LSTM, xs: Tensor, state: State, _: Tensor | None = None) -> tuple[Tensor, State]:
    return repeat_step(self, xs, state)


def forgetful(self: LSTM, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
    return Cell.scan(self, xs, self.init_state(len(xs)), lengths)


def mixed_rows(self: LSTM, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
    return Cell.scan(self, xs - xs.mean(0), state, lengths)


def backwards(self: LSTM, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
    return Cell.scan(self, xs.flip(1), state, lengths)


@pytest.mark.parametrize(
    ("method", "mutant", "check"),
    [
        ("step", swapped_gates, check_scan_is_step_repeated),
        ("step", swapped_gates, check_fused_gradients_are_those_of_step),
        ("scan", without_lengths, check_ragged_rows_are_as_alone),
        ("scan", forgetful, check_chunks_are_as_whole),
        ("scan", forgetful, check_the_first_state_matters),
        ("scan", mixed_rows, check_rows_do_not_mix),
        ("scan", backwards, check_the_future_does_not_reach_back),
    ],
)
def test_a_mutant_cell_turns_the_suite_red(method, mutant, check, seed, monkeypatch):
    torch.manual_seed(seed)
    monkeypatch.setattr(LSTM, method, mutant)
    with pytest.raises(AssertionError):
        check(LSTM)


EQUATION_MUTANTS = [
    (RNN, "step", " + self.b", ""),
    (RNN, "step", '"tanh"', '"relu"'),
    (GRU, "step", "z * h + (1 - z) * candidate", "(1 - z) * h + z * candidate"),
    (GRU, "step", "gates[:, -n:]", "gates[:, :n]"),
    (MinimalGatedUnit, "step", "(f * h) @ W_n.T", "h @ W_n.T"),
    (LSTM, "step", "f.sigmoid() * c", "c"),
    (LSTM1997, "step", " + self.b", ""),
    (PeepholeLSTM, "step", "o + p_o * c", 'o + p_o * state["c"]'),
    (CoupledLSTM, "step", "(1 - i) * c + i", "i * c + (1 - i)"),
    (ProjectedLSTM, "step", "r @ self.W.T", "0 * r @ self.W.T"),
    (Leaky, "step", "alpha * h + (1 - alpha) * v", "(1 - alpha) * h + alpha * v"),
    (Delays, "step", "delay - 1", "0"),
    (Clockwork, "step", "self.W * self.open", "self.W * self.open.T"),
    (Clockwork, "step", "t % self.period == 0", "t % self.period != 0"),
    (NeuralTuringMachine, "step", 'torch.cat([x, state["r"]], -1)', 'torch.cat([x, 0 * state["r"]], -1)'),
    (NeuralTuringMachine, "step", "w[:, : self.reads] @ M", 'w[:, : self.reads] @ state["M"]'),
    (NeuralTuringMachine, "step", "w[:, self.reads :, :, None]", "w[:, : self.writes, :, None]"),
    (NeuralTuringMachine, "_write", "M * (1 - w[:, head] @ e[:, head])", "M"),
    (NeuralTuringMachine, "_write", "M, w[:, head], a[:, head]", "M, w[:, 0], a[:, 0]"),
    (DifferentiableNeuralComputer, "step", 'torch.cat([x, state["r"]], -1)', 'torch.cat([x, 0 * state["r"]], -1)'),
    (DifferentiableNeuralComputer, "step", "w_w[..., None] * told.e", "w_w[..., None]"),
    (DifferentiableNeuralComputer, "step", "w_r @ M", 'w_r @ state["M"]'),
    (DifferentiableNeuralComputer, "step", 'precedence(state["p"], w_w)', 'precedence(state["p"], state["w_w"])'),
    (DifferentiableNeuralComputer, "_interface", "1 + softplus(beta_r)", "softplus(beta_r)"),
    (DifferentiableNeuralComputer, "_interface", "pi.softmax(-1)", "pi.sigmoid()"),
    (FeedForward, "step", " + self.b", ""),
    (OutputRecurrence, "_output", " + self.c", ""),
    (DeepTransition, "step", "layer(y).tanh()", "layer(y)"),
    (DeepTransition, "step", "a + h @ self.S.T", "a"),
    (VectorToSequence, "step", 'a + state["v"] @ self.R.T', "a"),
    (EchoState, "step", "(1 - self.leak) * h + self.leak * v", "self.leak * h + (1 - self.leak) * v"),
]


@pytest.mark.parametrize(("cell", "method", "old", "new"), EQUATION_MUTANTS)
def test_a_mutant_equation_turns_the_suite_red(cell, method, old, new, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(cell, method, changed(getattr(cell, method), old, new))
    kinds = [kind for kind in CASES.values() if any(type(part) is cell for part in kind(INPUT, HIDDEN).modules())]
    assert [kind for kind in kinds if is_red(kind)]


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        ("address", "k.tanh()", "k"),
        ("address", "1 + gamma", "gamma"),
        ("find", "w + at.g * (by_content - w)", "by_content"),
        ("content", " / lengths", ""),
        ("shift", "2 * reach - at", "at"),
        ("sharpen", " ** gamma", ""),
        ("softplus", "torch.zeros_like(a)", "torch.ones_like(a)"),
    ],
)
def test_a_mutant_address_turns_the_suite_red(function, old, new, monkeypatch):
    torch.manual_seed(0)
    mutant = changed(getattr(turing_memory, function), old, new)
    for module in (turing_memory, neural_turing_machine):
        monkeypatch.setattr(module, function, mutant, raising=False)
    assert is_red(CASES["neural_turing_machine heads"])


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        ("usage", " - u * w_w", ""),
        ("usage", "f[:, head]", "f[:, 0]"),
        ("allocation", "(1 - u) * ", ""),
        ("allocation", "first < last", "first > last"),
        ("product", "2 * half]", "2 * half] ** 0"),
        ("write_weighting", "g_a * allocation(u)", "allocation(u)"),
        ("link", "1 - after - before", "1 - after"),
        ("link", "at != at[:, None]", "at >= 0"),
        ("link", "p[:, None, :]", "p[:, :, None]"),
        ("precedence", " * p", ""),
        ("read_weighting", "back, alike, on", "on, alike, back"),
    ],
)
def test_a_mutant_of_the_computers_memory_turns_the_suite_red(function, old, new, monkeypatch):
    torch.manual_seed(0)
    mutant = changed(getattr(differentiable_neural_computer, function), old, new)
    monkeypatch.setattr(differentiable_neural_computer, function, mutant)
    assert is_red(CASES["differentiable_neural_computer heads"])


def changed(function: Callable[..., object], old: str, new: str) -> object:
    """Write a function anew with one place changed."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1
    names: dict[str, object] = {}
    exec(source.replace(old, new), dict(vars(sys.modules[function.__module__])), names)
    return names[function.__name__]


def is_red(kind: Kind) -> bool:
    try:
        check_the_step_is_the_papers(kind)
    except AssertionError:
        return True
    return False


def swap_the_first_gates(weights: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([weights[1], weights[0], *weights[2:]])


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "coupled_lstm", "gru", "minimal_gated"])
def test_a_mutant_export_turns_the_suite_red(name, monkeypatch):
    monkeypatch.setattr(cells, "in_order", swap_the_first_gates)
    with pytest.raises(AssertionError):
        check_the_graph_answers_as_torch(case(name))
