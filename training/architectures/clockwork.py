r"""The clockwork RNN: groups of units, each of which moves at its own period only.

    t mod T_i = 0:      h_t[i] = tanh(U[i] x_t + sum over j with T_j >= T_i of W[i, j] h_{t-1}[j] + b[i])
    otherwise:          h_t[i] = h_{t-1}[i]

Slow groups feed fast ones and never the other way. Koutnik, Greff, Gomez and Schmidhuber, "A clockwork RNN", 2014.
Deep Learning, section 10.9.3.
"""

from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.weights import groups, uniform, zeros
from training.cell import Cell, State
from training.options import Count


@final
class Clockwork(Cell):
    """U `[hidden, input]`, W `[hidden, hidden]`, b `[hidden]`; the state counts the steps.

    Args:
        input_size: features of the input.
        hidden_size: units, in as many groups as there are periods, as equal as can be.
        periods: of the groups, in steps.
    """

    period: Tensor
    open: Tensor

    def __init__(self, input_size: int, hidden_size: int, *, periods: tuple[Count, ...] = (1, 2, 4, 8)) -> None:
        super().__init__()
        if not periods:
            raise ValueError("periods must be one or more")
        self.input_size = input_size
        self.output_size = hidden_size
        self.U = uniform(hidden_size, input_size, units=hidden_size)
        self.W = uniform(hidden_size, hidden_size, units=hidden_size)
        self.b = zeros(hidden_size)
        period = torch.tensor(sorted(periods))[groups(hidden_size, len(periods))]
        self.register_buffer("period", period)
        self.register_buffer("open", (period[None, :] >= period[:, None]).float())

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size), "t": self.period.new_zeros(batch_size, 1)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, t = state["h"], state["t"]
        moved = (x @ self.U.T + h @ (self.W * self.open).T + self.b).tanh()
        h = torch.where(t % self.period == 0, moved, h)
        return h, {"h": h, "t": t + 1}
