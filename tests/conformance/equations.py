"""The equations of the papers for one row and one step, in NumPy: what each cell's own step is held against.

A function takes the cell's parameters and buffers by name, the cell for its options, the input `[features]` and the
state; it gives the output and the next state. Vectors are columns, as on paper.
"""

from collections.abc import Mapping

import numpy as np

from tests.conformance.later_equations import LATER
from tests.conformance.rows import Equations, Row, Rows, sigmoid, within
from training.architectures.bidirectional import Lookahead
from training.architectures.clockwork import Clockwork
from training.architectures.countdown import Countdown
from training.architectures.deep_transition import DeepTransition
from training.architectures.delays import Delays
from training.architectures.differentiable_neural_computer import DifferentiableNeuralComputer
from training.architectures.echo_state import EchoState
from training.architectures.encoder_decoder import AttentionDecoder, EncoderDecoder
from training.architectures.gru import GRU, MinimalGatedUnit
from training.architectures.leaky import Leaky
from training.architectures.lstm import LSTM
from training.architectures.lstm_variants import LSTM1997, CoupledLSTM, PeepholeLSTM, ProjectedLSTM
from training.architectures.neural_turing_machine import NeuralTuringMachine
from training.architectures.output_recurrence import OutputRecurrence
from training.architectures.rnn import RNN
from training.architectures.stack import Stack
from training.architectures.vector_to_sequence import VectorToSequence
from training.cell import Cell


def gate(p: Rows, number: int, units: int, x: Row, h: Row) -> Row:
    """The weighted sum of one gate, whose rows lie together."""
    rows = slice(number * units, (number + 1) * units)
    return p["U"][rows] @ x + p["W"][rows] @ h + p["b"][rows]


def rnn(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    a = p["b"] + p["W"] @ state["h"] + p["U"] @ x  # equation 10.8
    h = np.tanh(a) if cell.activation == "tanh" else np.maximum(a, 0)  # equation 10.9
    return h, {"h": h}


def lstm(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    i, f, g, o = (gate(p, number, cell.output_size, x, state["h"]) for number in range(4))
    c = sigmoid(f) * state["c"] + sigmoid(i) * np.tanh(g)
    h = np.tanh(c) * sigmoid(o)
    return h, {"h": h, "c": c}


def written(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    """The decoder's own step within an encoder-decoder."""
    own = {name.removeprefix("decoder."): row for name, row in state.items() if name.startswith("decoder.")}
    if isinstance(cell.decoder, Stack):  # of one layer
        inner = {name.removeprefix("0."): row for name, row in own.items()}
        layer = cell.decoder.layers[0]
        y, after = EQUATIONS[type(layer)](within(p, "decoder.cells.0."), layer, x, inner)
        after = {f"0.{name}": row for name, row in after.items()}
    else:
        y, after = EQUATIONS[type(cell.decoder)](within(p, "decoder."), cell.decoder, x, own)
    return y, {f"decoder.{name}": row for name, row in after.items()}


def encoder_decoder(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    y, after = written(p, cell, x if cell.way == "initial" else np.concatenate([x, state["c"]]), state)
    return y, state | after


def attention(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    def read(s: Row) -> Row:
        places = range(int(state["source_length"]))
        if cell.asks_first:
            e = np.array([p["score.v"][:, 0] @ np.tanh(p["score.W"] @ s + state["keys"][j]) for j in places])
        else:
            e = np.array([s @ state["keys"][j] for j in places])
        if cell.window is not None:
            middle = (len(places) - 1) * sigmoid(p["window.v"][:, 0] @ np.tanh(p["window.W"] @ s))
            e = e - (np.array(places) - middle) ** 2 / (2 * (cell.window.reach / 2) ** 2)
        alpha = np.exp(e) / np.exp(e).sum()
        return sum(alpha[j] * state["annotations"][j, :-1] for j in places)

    if cell.asks_first:
        c = read(state["s"])
        s, after = written(p, cell, np.concatenate([x, c]), state)
        return np.concatenate([s, c]), state | after | {"s": s}
    s, after = written(p, cell, x, state)
    return np.tanh(p["H.weight"] @ np.concatenate([s, read(s)]) + p["H.bias"]), state | after


def lookahead(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    window, k = [*state["inputs"], x], cell.delay
    following = {"inputs": np.array(window[1:]), "seen": np.minimum(state["seen"] + 1, k)}
    before = {name.removeprefix("forward."): row for name, row in state.items() if name.startswith("forward.")}
    if state["seen"].item() < k:
        return np.zeros(cell.output_size), following | {f"forward.{name}": row for name, row in before.items()}
    h, after = EQUATIONS[type(cell.forward_cell)](within(p, "forward_cell."), cell.forward_cell, window[0], before)
    g, back = None, {name: row[0].numpy() for name, row in cell.backward_cell.init_state(1).items()}
    for later in reversed(window):
        g, back = EQUATIONS[type(cell.backward_cell)](within(p, "backward_cell."), cell.backward_cell, later, back)
    o = np.concatenate([h, g]) if cell.merge == "concat" else h + g
    return o, following | {f"forward.{name}": row for name, row in after.items()}


def lstm_1997(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    i, g, o = (gate(p, number, cell.output_size, x, state["h"]) for number in range(3))
    c = state["c"] + sigmoid(i) * np.tanh(g)
    h = np.tanh(c) * sigmoid(o)
    return h, {"h": h, "c": c}


def peephole_lstm(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    n = cell.output_size
    i, f, g, o = (gate(p, number, n, x, state["h"]) for number in range(4))
    i, f = sigmoid(i + p["P"][:n] * state["c"]), sigmoid(f + p["P"][n : 2 * n] * state["c"])
    c = f * state["c"] + i * np.tanh(g)
    h = np.tanh(c) * sigmoid(o + p["P"][2 * n :] * c)
    return h, {"h": h, "c": c}


def coupled_lstm(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    i, g, o = (gate(p, number, cell.output_size, x, state["h"]) for number in range(3))
    f = 1 - sigmoid(i)
    c = f * state["c"] + sigmoid(i) * np.tanh(g)
    h = np.tanh(c) * sigmoid(o)
    return h, {"h": h, "c": c}


def projected_lstm(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    i, f, g, o = (gate(p, number, len(state["c"]), x, state["r"]) for number in range(4))
    c = sigmoid(f) * state["c"] + sigmoid(i) * np.tanh(g)
    r = p["P"] @ (np.tanh(c) * sigmoid(o))
    return r, {"r": r, "c": c}


def gru(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    h, n = state["h"], cell.output_size
    gates = 1 if cell.reset == "none" else 2
    r = sigmoid(gate(p, 0, n, x, h))
    z = sigmoid(gate(p, gates - 1, n, x, h))
    U, W, b = (p[name][gates * n :] for name in "UWb")
    recurrent = {"none": lambda: W @ h, "before": lambda: W @ (r * h), "after": lambda: r * (W @ h)}[cell.reset]()
    h = z * h + (1 - z) * np.tanh(U @ x + recurrent + b)
    return h, {"h": h}


def minimal_gated(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    h, n = state["h"], cell.output_size
    f = sigmoid(gate(p, 0, n, x, h))
    h = (1 - f) * h + f * np.tanh(gate(p, 1, n, x, f * h))
    return h, {"h": h}


def leaky(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    alpha = sigmoid(p["a"]) if cell.learned else p["a"]
    v = np.tanh(p["U"] @ x + p["W"] @ state["h"] + p["b"])
    mu = alpha * state["h"] + (1 - alpha) * v
    return mu, {"h": mu}


def delays(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    past, n = state["past"], cell.output_size
    a = p["U"] @ x + p["b"]
    for place, delay in enumerate(cell.delays):
        a = a + p["W"][:, place * n : (place + 1) * n] @ past[delay - 1]
    h = np.tanh(a)
    return h, {"past": np.concatenate([h[None], past[:-1]])}


def clockwork(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    h, t, period = state["h"], int(state["t"][0]), p["period"]
    new = h.copy()
    for unit in range(len(h)):
        if t % period[unit] == 0:
            read = sum(p["W"][unit, other] * h[other] for other in range(len(h)) if period[other] >= period[unit])
            new[unit] = np.tanh(p["U"][unit] @ x + read + p["b"][unit])
    return new, {"h": new, "t": np.array([t + 1])}


def output_recurrence(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    h = np.tanh(p["U"] @ x + p["W"] @ state["o"] + p["b"])
    o = p["V"] @ h + p["c"]
    return o, {"o": o}


def deep_transition(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    def layers(name: str) -> list[tuple[Row, Row]]:
        count = sum(key.startswith(f"{name}.") for key in p) // 2
        return [(p[f"{name}.{at}.weight"], p[f"{name}.{at}.bias"]) for at in range(count)]

    a = p["U"] @ x + p["W"] @ state["h"] + p["b"]
    for W, b in layers("transition"):
        a = W @ np.tanh(a) + b
    h = np.tanh(a + p["S"] @ state["h"]) if "S" in p else np.tanh(a)
    y = h
    for V, c in layers("output"):
        y = np.tanh(V @ y + c)
    return y, {"h": h}


def vector_to_sequence(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    a = p["U"] @ x + p["W"] @ state["h"] + p["b"]
    h = np.tanh(a + p["R"] @ state["v"]) if "R" in p else np.tanh(a)
    return h, {**state, "h": h}


def echo_state(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    v = np.tanh(p["U"] @ x + p["W"] @ state["h"] + p["b"])
    h = state["h"] + cell.leak * (v - state["h"])
    return h, {"h": h}


def countdown(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    left = state["left"][0]
    own = {name.removeprefix("inner."): value for name, value in p.items()}
    inside = {name: value for name, value in state.items() if name != "left"}
    counted = np.concatenate([x, [left / 10, float(left == 1)]])
    y, after = EQUATIONS[type(cell.inner)](own, cell.inner, counted, inside)
    return y, {**after, "left": np.array([left - 1])}


def neural_turing_machine(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    read = np.concatenate([x, state["r"]])
    own = {name.removeprefix("controller."): value for name, value in p.items()}
    if "h" in state:
        h, after = lstm(own, cell.controller, read, state)
    else:
        h, after = np.tanh(own["U"] @ read + own["b"]), {}
    emitted, heads, width = p["H"] @ h + p["p"], cell.reads + cell.writes, cell.width
    addresses, erased, added = np.split(emitted, [-2 * cell.writes * width, -cell.writes * width])
    weights = [
        head_weights(state["M"], state["w"][head], raw, width) for head, raw in enumerate(addresses.reshape(heads, -1))
    ]
    M = state["M"]
    for w, e in zip(weights[cell.reads :], erased.reshape(-1, width), strict=True):
        M = M * (1 - np.outer(w, sigmoid(e)))  # equation 3
    for w, a in zip(weights[cell.reads :], added.reshape(-1, width), strict=True):
        M = M + np.outer(w, np.tanh(a))  # equation 4
    r = np.concatenate([w @ M for w in weights[: cell.reads]])  # equation 2
    return np.concatenate([h, r]), {**after, "M": M, "w": np.stack(weights), "r": r}


def head_weights(memory: Row, before: Row, raw: Row, width: int) -> Row:
    k, beta, gamma = np.tanh(raw[:width]), np.log1p(np.exp(raw[width])), 1 + np.log1p(np.exp(raw[width + 1]))
    g, s = sigmoid(raw[width + 2]), np.exp(raw[width + 3 :])
    likeness = np.exp([beta * (k @ slot) / (np.linalg.norm(k) * np.linalg.norm(slot)) for slot in memory])
    w = g * likeness / likeness.sum() + (1 - g) * before  # equations 5 to 7
    turned = [np.roll(w, at - len(s) // 2) * share for at, share in enumerate(s / s.sum())]  # equation 8
    # Weights are never negative but in a state that was drawn at random.
    raised = np.maximum(sum(turned), 1e-12) ** gamma  # equation 9
    return raised / raised.sum()


def differentiable_neural_computer(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    R, W, N = cell.reads, cell.width, cell.slots
    read = np.concatenate([x, state["r"]])
    own = {name.removeprefix("controller."): value for name, value in p.items()}
    if "h" in state:
        h, after = lstm(own, cell.controller, read, state)
    else:
        h, after = np.tanh(own["U"] @ read + own["b"]), {}
    sizes = [R * W, R, W, 1, W, W, R, 1, 1, 3 * R]
    k_r, beta_r, k_w, beta_w, e, v, f, g_a, g_w, pi = np.split(p["W_xi"] @ h + p["b_xi"], np.cumsum(sizes)[:-1])
    psi = np.prod([1 - sigmoid(f[i]) * state["w_r"][i] for i in range(R)], axis=0)
    u = (state["u"] + state["w_w"] - state["u"] * state["w_w"]) * psi
    a, phi = np.zeros(N), np.argsort(u + 1e-4 * np.arange(N), kind="stable")  # phi is the free list
    for j in range(N):
        a[phi[j]] = (1 - u[phi[j]]) * np.prod(u[phi[:j]])
    c_w = by_content(state["M"], k_w, beta_w)
    w_w = sigmoid(g_w) * (sigmoid(g_a) * a + (1 - sigmoid(g_a)) * c_w)
    M = state["M"] * (1 - np.outer(w_w, sigmoid(e))) + np.outer(w_w, v)
    L = np.zeros((N, N))
    for i, j in np.argwhere(~np.eye(N, dtype=bool)):
        L[i, j] = (1 - w_w[i] - w_w[j]) * state["L"][i, j] + w_w[i] * state["p"][j]
    following: Rows = {"M": M, "u": u, "L": L, "w_w": w_w, "p": (1 - w_w.sum()) * state["p"] + w_w}
    w_r = np.zeros((R, N))
    for i in range(R):
        backward, forward = L.T @ state["w_r"][i], L @ state["w_r"][i]
        c_r = by_content(M, k_r[i * W : (i + 1) * W], beta_r[i])
        modes = np.exp(pi[3 * i : 3 * i + 3])
        w_r[i] = modes / modes.sum() @ np.stack([backward, c_r, forward])
    r = np.concatenate([M.T @ w for w in w_r])
    return np.concatenate([h, r]), {**after, **following, "w_r": w_r, "r": r}


def by_content(memory: Row, k: Row, beta: Row) -> Row:
    beta = 1 + np.log1p(np.exp(beta))
    likeness = np.exp([beta * (k @ slot) / (np.linalg.norm(k) * np.linalg.norm(slot)) for slot in memory])
    return likeness.reshape(-1) / likeness.sum()


EQUATIONS: Mapping[type[Cell], Equations] = {
    AttentionDecoder: attention,
    Clockwork: clockwork,
    Countdown: countdown,
    CoupledLSTM: coupled_lstm,
    DeepTransition: deep_transition,
    Delays: delays,
    DifferentiableNeuralComputer: differentiable_neural_computer,
    EchoState: echo_state,
    EncoderDecoder: encoder_decoder,
    GRU: gru,
    LSTM: lstm,
    LSTM1997: lstm_1997,
    Leaky: leaky,
    Lookahead: lookahead,
    MinimalGatedUnit: minimal_gated,
    NeuralTuringMachine: neural_turing_machine,
    OutputRecurrence: output_recurrence,
    PeepholeLSTM: peephole_lstm,
    ProjectedLSTM: projected_lstm,
    RNN: rnn,
    VectorToSequence: vector_to_sequence,
} | LATER
