r"""What was tried around the LSTM: each changes one thing of the equations in `lstm.py`, and nothing else.

    LSTM1997        c_t = c_{t-1} + i_t * g_t                            no forget gate
    PeepholeLSTM    i_t = sigmoid(... + p_i * c_{t-1})                   gates see the cell: f_t alike with p_f,
                    o_t = sigmoid(... + p_o * c_t)                       and the output gate the new one
    CoupledLSTM     f_t = 1 - i_t                                        forgets as much as it writes
    ProjectedLSTM   r_t = P (o_t * tanh(c_t))                            r_t, not h_t, is put out and read again

Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers and Schmidhuber, "Recurrent nets that time and count",
2000; Greff et al., "LSTM: a search space odyssey", 2015, which compares them; Sak, Senior and Beaufays, "Long
short-term memory recurrent neural network architectures for large scale acoustic modeling", 2014. Deep Learning,
section 10.10.
"""

from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.lstm import FORGET_BIAS
from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count


@final
class LSTM1997(Cell):
    """Parameters by gate in the order i, g, o: U `[3 hidden, input]`, W `[3 hidden, hidden]`, b `[3 hidden]`."""

    gates = ("i", "o")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.U = uniform(3 * hidden_size, input_size, units=hidden_size)
        self.W = uniform(3 * hidden_size, hidden_size, units=hidden_size)
        self.b = zeros(3 * hidden_size)

    @override
    def init_state(self, batch_size: int) -> State:
        zero = self.b.new_zeros(batch_size, self.output_size)
        return {"h": zero, "c": zero}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state["h"], state["c"]
        i, g, o = (x @ self.U.T + h @ self.W.T + self.b).chunk(3, dim=-1)
        c = c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, {"h": h, "c": c}


@final
class PeepholeLSTM(Cell):
    """Parameters as of the LSTM, and P `[3 hidden]` in the order i, f, o."""

    gates = ("f", "i", "o")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.U = uniform(4 * hidden_size, input_size, units=hidden_size)
        self.W = uniform(4 * hidden_size, hidden_size, units=hidden_size)
        self.P = uniform(3 * hidden_size, units=hidden_size)
        self.b = zeros(4 * hidden_size)
        with torch.no_grad():
            self.b[hidden_size : 2 * hidden_size] = FORGET_BIAS

    @override
    def init_state(self, batch_size: int) -> State:
        zero = self.b.new_zeros(batch_size, self.output_size)
        return {"h": zero, "c": zero}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state["h"], state["c"]
        i, f, g, o = (x @ self.U.T + h @ self.W.T + self.b).chunk(4, dim=-1)
        p_i, p_f, p_o = self.P.chunk(3)
        c = (f + p_f * c).sigmoid() * c + (i + p_i * c).sigmoid() * g.tanh()
        h = (o + p_o * c).sigmoid() * c.tanh()
        return h, {"h": h, "c": c}


@final
class CoupledLSTM(Cell):
    """Parameters by gate in the order i, g, o: U `[3 hidden, input]`, W `[3 hidden, hidden]`, b `[3 hidden]`."""

    gates = ("i", "o")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.U = uniform(3 * hidden_size, input_size, units=hidden_size)
        self.W = uniform(3 * hidden_size, hidden_size, units=hidden_size)
        self.b = zeros(3 * hidden_size)
        with torch.no_grad():
            # As open to what was as the LSTM is.
            self.b[:hidden_size] = -FORGET_BIAS

    @override
    def init_state(self, batch_size: int) -> State:
        zero = self.b.new_zeros(batch_size, self.output_size)
        return {"h": zero, "c": zero}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state["h"], state["c"]
        i, g, o = (x @ self.U.T + h @ self.W.T + self.b).chunk(3, dim=-1)
        i = i.sigmoid()
        c = (1 - i) * c + i * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, {"h": h, "c": c}


@final
class ProjectedLSTM(Cell):
    """Parameters as of the LSTM, with W `[4 hidden, projection]`, and P `[projection, hidden]`.

    Args:
        input_size: features of the input.
        hidden_size: units of the cell.
        projection: features of the output; half as many as units unless given.
    """

    gates = ("f", "i", "o")

    def __init__(self, input_size: int, hidden_size: int, *, projection: Count | None = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = projection or max(1, hidden_size // 2)
        self.U = uniform(4 * hidden_size, input_size, units=hidden_size)
        self.W = uniform(4 * hidden_size, self.output_size, units=hidden_size)
        self.P = uniform(self.output_size, hidden_size, units=hidden_size)
        self.b = zeros(4 * hidden_size)
        with torch.no_grad():
            self.b[hidden_size : 2 * hidden_size] = FORGET_BIAS

    @override
    def init_state(self, batch_size: int) -> State:
        return {
            "r": self.b.new_zeros(batch_size, self.output_size),
            "c": self.b.new_zeros(batch_size, self.hidden_size),
        }

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        r, c = state["r"], state["c"]
        i, f, g, o = (x @ self.U.T + r @ self.W.T + self.b).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        r = (o.sigmoid() * c.tanh()) @ self.P.T
        return r, {"r": r, "c": c}
