r"""Long short-term memory: a state that gates write, keep and read.

    i_t = sigmoid(U_i x_t + W_i h_{t-1} + b_i)          input gate
    f_t = sigmoid(U_f x_t + W_f h_{t-1} + b_f)          forget gate
    g_t = tanh(U_g x_t + W_g h_{t-1} + b_g)             candidate
    o_t = sigmoid(U_o x_t + W_o h_{t-1} + b_o)          output gate
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)

Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997; the forget gate of Gers,
Schmidhuber and Cummins, "Learning to forget", Neural Computation 12(10), 2000. Deep Learning, section 10.10.1,
equations 10.40 to 10.44, which have a sigmoid for the candidate, where practice has the tanh.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.cell import Cell, State

FORGET_BIAS = 1.0


@final
class LSTM(Cell):
    """Parameters by gate in the order i, f, g, o: U `[4 hidden, input]`, W `[4 hidden, hidden]`, b `[4 hidden]`."""

    gates = ("f", "i", "o")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        bound = 1 / math.sqrt(hidden_size)
        self.U = nn.Parameter(torch.empty(4 * hidden_size, input_size).uniform_(-bound, bound))
        self.W = nn.Parameter(torch.empty(4 * hidden_size, hidden_size).uniform_(-bound, bound))
        self.b = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            # A gate that begins open lets gradients through from the start (Jozefowicz et al., 2015).
            self.b[hidden_size : 2 * hidden_size] = FORGET_BIAS

    @override
    def init_state(self, batch_size: int) -> State:
        zeros = self.b.new_zeros(batch_size, self.output_size)
        return {"h": zeros, "c": zeros}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state["h"], state["c"]
        i, f, g, o = (x @ self.U.T + h @ self.W.T + self.b).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, {"h": h, "c": c}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        if lengths is not None:
            return super().scan(xs, state, lengths)
        # torch's fused kernel has two biases; ours is one.
        weights = (self.U, self.W, self.b, torch.zeros_like(self.b))
        start = (state["h"][None], state["c"][None])
        ys, h, c = torch.lstm(xs, start, weights, True, 1, 0.0, self.training, False, True)
        return ys, {"h": h[0], "c": c[0]}
