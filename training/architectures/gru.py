r"""Gated recurrent units: one state, which gates keep, mix and forget.

    z_t = sigmoid(U_z x_t + W_z h_{t-1} + b_z)                          update gate: 1 keeps
    r_t = sigmoid(U_r x_t + W_r h_{t-1} + b_r)                          reset gate: 0 forgets
    n_t = tanh(U_n x_t + W_n (r_t * h_{t-1}) + b_n)                     reset before the product
    n_t = tanh(U_n x_t + r_t * (W_n h_{t-1}) + b_n)                     reset after it, which runs as one product
    n_t = tanh(U_n x_t + W_n h_{t-1} + b_n)                             without a reset gate
    h_t = z_t * h_{t-1} + (1 - z_t) * n_t

The minimal gated unit has one gate f_t for both, before the product: h_t = (1 - f_t) * h_{t-1} + f_t * n_t.

Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014; Zhou et al., "Minimal gated unit for
recurrent neural networks", 2016. Deep Learning, section 10.10.2, equations 10.45 to 10.47, whose u is z here, and which
have a sigmoid for the candidate, where practice has the tanh.
"""

from typing import Literal, final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.weights import uniform, zeros
from training.cell import Cell, State


@final
class GRU(Cell):
    """Parameters by gate in the order r, z, n: U `[3 hidden, input]`, W `[3 hidden, hidden]`, b `[3 hidden]`.

    Args:
        input_size: features of the input.
        hidden_size: units.
        reset: where the reset gate acts; without it the order is z, n.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, reset: Literal["after", "before", "none"] = "after"
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.reset = reset
        self.gates = ("z",) if reset == "none" else ("r", "z")
        rows = hidden_size * (2 if reset == "none" else 3)
        self.U = uniform(rows, input_size, units=hidden_size)
        self.W = uniform(rows, hidden_size, units=hidden_size)
        self.b = zeros(rows)

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, n = state["h"], self.output_size
        a = x @ self.U.T + self.b
        gates = (a[:, :-n] + h @ self.W[:-n].T).sigmoid()
        z = gates[:, -n:]
        if self.reset == "none":
            candidate = (a[:, -n:] + h @ self.W[-n:].T).tanh()
        elif self.reset == "after":
            candidate = (a[:, -n:] + gates[:, :n] * (h @ self.W[-n:].T)).tanh()
        else:
            candidate = (a[:, -n:] + (gates[:, :n] * h) @ self.W[-n:].T).tanh()
        h = z * h + (1 - z) * candidate
        return h, {"h": h}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        if lengths is not None or self.reset != "after":
            return super().scan(xs, state, lengths)
        # torch's fused kernel has two biases; ours is one.
        weights = (self.U, self.W, self.b, torch.zeros_like(self.b))
        ys, h = torch.gru(xs, state["h"][None], weights, True, 1, 0.0, self.training, False, True)
        return ys, {"h": h[0]}


@final
class MinimalGatedUnit(Cell):
    """Parameters in the order f, n: U `[2 hidden, input]`, W `[2 hidden, hidden]`, b `[2 hidden]`."""

    gates = ("f",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.U = uniform(2 * hidden_size, input_size, units=hidden_size)
        self.W = uniform(2 * hidden_size, hidden_size, units=hidden_size)
        self.b = zeros(2 * hidden_size)

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = state["h"]
        f, a = (x @ self.U.T + self.b).chunk(2, dim=-1)
        W_f, W_n = self.W.chunk(2)
        f = (f + h @ W_f.T).sigmoid()
        n = (a + (f * h) @ W_n.T).tanh()
        h = (1 - f) * h + f * n
        return h, {"h": h}
