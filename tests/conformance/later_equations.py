"""The equations of the recurrences after the chapter, in NumPy, as those of the chapter's are."""

from collections.abc import Mapping

import numpy as np

from tests.conformance.rows import Equations, Row, Rows, sigmoid
from training.architectures.gated_delta import GatedDelta
from training.architectures.linear_recurrent_unit import LinearRecurrentUnit
from training.architectures.minimal_recurrence import MinGRU, MinLSTM
from training.architectures.rwkv import RWKV
from training.architectures.selective_state_space import SelectiveStateSpace
from training.architectures.xlstm import MLSTM, SLSTM
from training.cell import Cell


def min_gru(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    n = cell.output_size
    a = p["U"] @ x + p["b"]
    z = sigmoid(a[:n])
    h = (1 - z) * state["h"] + z * a[n:]
    return h, {"h": h}


def min_lstm(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    f, i, candidate = np.split(p["U"] @ x + p["b"], 3)
    f, i = sigmoid(f), sigmoid(i)
    h = (f * state["h"] + i * candidate) / (f + i)
    return h, {"h": h}


def linear_recurrent_unit(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    n = cell.output_size
    eigenvalues = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    B, C = p["B"][:n] + 1j * p["B"][n:], p["C"][:, :n] + 1j * p["C"][:, n:]
    h = eigenvalues * (state["re"] + 1j * state["im"]) + np.exp(p["g"]) * (B @ x)
    y = (C @ h).real + p["D"] @ x
    if cell.G is not None:
        y = y * sigmoid(p["G"] @ y + p["b"])
    return y, {"re": h.real, "im": h.imag}


def gated_delta(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    parts = (p["U"] @ x).reshape(3, cell.heads, cell.width)
    rates = sigmoid(p["w"] @ x + p["b"]).reshape(2, cell.heads)
    ys, matrices = [], []
    for query, key, v, alpha, beta, before in zip(*parts, *rates, state["S"], strict=True):
        q, k = query / np.linalg.norm(query), key / np.linalg.norm(key)
        S = alpha * before @ (np.eye(cell.width) - beta * np.outer(k, k)) + beta * np.outer(v, k)
        matrices.append(S)
        ys.append(S @ q)
    return p["O"] @ np.concatenate(ys), {"S": np.array(matrices)}


def silu(a: Row) -> Row:
    return a * sigmoid(a)


def selective_state_space(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    new, z = np.split(p["U"] @ x, 2)
    window = np.concatenate([state["u"], new[None]])
    u = silu((p["w"] * window).sum(0) + p["a"])
    d, B, C = np.split(p["W"] @ u, [cell.rank, cell.rank + cell.width])
    delta = np.log1p(np.exp(p["V"] @ d + p["b"]))
    h = np.exp(delta[:, None] * -np.exp(p["L"])) * state["h"] + np.outer(delta * u, B)
    return p["O"] @ ((h @ C + p["D"] * u) * silu(z)), {"h": h, "u": window[1:]}


def rwkv(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    r, k, v = (W @ (mu * x + (1 - mu) * state["last"]) for mu, W in zip(p["mu"], np.split(p["W"], 3), strict=True))
    # The sums themselves: no number of these tests is too large for them.
    scale = np.exp(state["p"])
    a, b = scale * state["a"], scale * state["b"]
    wkv = (a + np.exp(p["u"] + k) * v) / (b + np.exp(p["u"] + k))
    largest = np.maximum(state["p"] - np.exp(p["d"]), k)
    a, b = (np.exp(-np.exp(p["d"])) * old + np.exp(k) * now for old, now in ((a, v), (b, 1.0)))
    after = {"last": x, "a": a / np.exp(largest), "b": b / np.exp(largest), "p": largest}
    return p["O"] @ (sigmoid(r) * wkv), after


def slstm(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    heads = np.split(state["h"], cell.heads)
    own = np.concatenate(
        [
            np.concatenate(parts)
            for parts in zip(*(np.split(h @ R, 4) for h, R in zip(heads, p["R"], strict=True)), strict=True)
        ]
    )
    i, f, z, o = np.split(p["W"] @ x + p["b"] + own, 4)
    scale, m = np.exp(state["m"]), np.maximum(np.log(sigmoid(f)) + state["m"], i)
    c = sigmoid(f) * scale * state["c"] + np.exp(i) * np.tanh(z)
    n = sigmoid(f) * scale * state["n"] + np.exp(i)
    h = sigmoid(o) * c / n
    return h, {"h": h, "c": c / np.exp(m), "n": n / np.exp(m), "m": m}


def mlstm(p: Rows, cell: Cell, x: Row, state: Rows) -> tuple[Row, Rows]:
    width = cell.output_size // cell.heads
    parts = (p["U"] @ x).reshape(4, cell.heads, width)
    gates = (p["w"] @ x + p["b"]).reshape(2, cell.heads)
    hs, after = [], []
    for q, key, v, o, i, f, C, n, m in zip(*parts, *gates, state["C"], state["n"], state["m"], strict=True):
        k, scale, largest = key / np.sqrt(width), np.exp(m), max(np.log(sigmoid(f)) + m, i)
        matrix = sigmoid(f) * scale * C + np.exp(i) * np.outer(v, k)
        normaliser = sigmoid(f) * scale * n + np.exp(i) * k
        hs.append(sigmoid(o) * (matrix @ q) / max(abs(normaliser @ q), 1.0))
        after.append((matrix / np.exp(largest), normaliser / np.exp(largest), largest))
    C, n, m = zip(*after, strict=True)
    return np.concatenate(hs), {"C": np.array(C), "n": np.array(n), "m": np.array(m)}


LATER: Mapping[type[Cell], Equations] = {
    GatedDelta: gated_delta,
    LinearRecurrentUnit: linear_recurrent_unit,
    MLSTM: mlstm,
    MinGRU: min_gru,
    MinLSTM: min_lstm,
    RWKV: rwkv,
    SLSTM: slstm,
    SelectiveStateSpace: selective_state_space,
}
