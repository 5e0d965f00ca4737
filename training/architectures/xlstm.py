r"""Extended LSTMs: gates that are exponential, kept from overflowing by a state m; of scalars, or of a matrix.

    m_t = max(log f_t + m_{t-1}, i_t);  f'_t = exp(log f_t + m_{t-1} - m_t);  i'_t = exp(i_t - m_t)
    log f_t = log sigmoid(f~_t)

    c_t = f' c_{t-1} + i' tanh(z~_t);  n_t = f' n_{t-1} + i'            slstm: i, f~, z~, o~ = W x_t + R h_{t-1} + b
    h_t = sigmoid(o~_t) c_t / n_t

    C_t = f' C_{t-1} + i' v_t k_t';  n_t = f' n_{t-1} + i' k_t          mlstm: q, k, v, o~ = U x_t; i, f~ = w x_t + b
    h_t = sigmoid(o~_t) * C_t q_t / max(|n_t' q_t|, exp(-m_t))

R is block-diagonal: each head reads its own units. Beck et al., "xLSTM: extended long short-term memory", 2024,
in the stabilised forms. Training repeats the step.
"""

import math
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.turing_memory import softplus
from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count

# What m is before the first step, whose gates are then its own.
NOTHING = -1e30
# What the forget gates begin at: sigmoid(3) is 0.95 a step.
KEEPS = 3.0


@final
class SLSTM(Cell):
    """States: `h`, `c`, `n`, `m`, `[batch, hidden]`. Parameters in the order i, f, z, o.

    Args:
        input_size: features of the input.
        hidden_size: units.
        heads: groups of units, each of which reads its own alone; they divide the units.
    """

    takes_any_state = False

    def __init__(self, input_size: int, hidden_size: int, *, heads: Count = 1) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.heads = _checked(heads, hidden_size)
        self.W = uniform(4 * hidden_size, input_size, units=hidden_size)
        width = hidden_size // heads
        self.R = uniform(heads, width, 4 * width, units=hidden_size)
        self.b = zeros(4 * hidden_size)
        self.b.data[hidden_size : 2 * hidden_size] = KEEPS

    @override
    def init_state(self, batch_size: int) -> State:
        nothing = self.b.new_zeros(batch_size, self.output_size)
        return {name: nothing.clone() for name in "hcn"} | {"m": torch.full_like(nothing, NOTHING)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        by_head = state["h"].reshape(-1, self.heads, 1, self.output_size // self.heads)
        recurrent = (by_head @ self.R)[:, :, 0].chunk(4, -1)
        a = zip((x @ self.W.T + self.b).chunk(4, -1), recurrent, strict=True)
        i, f, z, o = (read + torch.flatten(own, 1) for read, own in a)
        m, kept, new = _gates(i, f, state["m"])
        c = kept * state["c"] + new * z.tanh()
        n = kept * state["n"] + new
        h = o.sigmoid() * c / n
        return h, {"h": h, "c": c, "n": n, "m": m}


@final
class MLSTM(Cell):
    """States: `C [batch, heads, width, width]`, `n [batch, heads, width]`, `m [batch, heads]`.

    Args:
        input_size: features of the input.
        hidden_size: features of all heads' values, keys and queries, and of the output.
        heads: matrices, which divide them.
    """

    takes_any_state = False

    def __init__(self, input_size: int, hidden_size: int, *, heads: Count = 1) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.heads = _checked(heads, hidden_size)
        self.U = uniform(4 * hidden_size, input_size, units=input_size)
        self.w = uniform(2 * heads, input_size, units=input_size)
        self.b = zeros(2 * heads)
        self.b.data[heads:] = KEEPS

    @override
    def init_state(self, batch_size: int) -> State:
        width = self.output_size // self.heads
        return {
            "C": self.b.new_zeros(batch_size, self.heads, width, width),
            "n": self.b.new_zeros(batch_size, self.heads, width),
            "m": self.b.new_full((batch_size, self.heads), NOTHING),
        }

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        width = self.output_size // self.heads
        q, k, v, o = (part.reshape(-1, self.heads, width) for part in (x @ self.U.T).chunk(4, -1))
        k = k / math.sqrt(width)
        i, f = (x @ self.w.T + self.b).chunk(2, -1)
        m, kept, new = _gates(i, f, state["m"])
        C = kept[..., None, None] * state["C"] + (new[..., None] * v)[..., None] * k[..., None, :]
        n = kept[..., None] * state["n"] + new[..., None] * k
        likeness = (n[..., None, :] @ q[..., None])[..., 0]
        read = (C @ q[..., None])[..., 0] / torch.maximum(likeness.abs(), (-m).exp()[..., None])
        return torch.flatten(o.sigmoid() * read, 1), {"C": C, "n": n, "m": m}


def _gates(i: Tensor, f: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give the next m, and what is kept and what is new, each over exp(m)."""
    faded = m - softplus(-f)
    m = torch.maximum(faded, i)
    return m, (faded - m).exp(), (i - m).exp()


def _checked(heads: int, hidden_size: int) -> int:
    if hidden_size % heads:
        raise ValueError(f"{hidden_size} hidden units are not divided by cell.heads, {heads}")
    return heads
