r"""Skip connections through time: the units read what they were several steps ago.

    h_t = tanh(U x_t + sum over d of W_d h_{t-d} + b)          d in the delays

With delays 1 and d a gradient goes back k steps in about k / d hops; a network with several short delays is NARX.
Lin, Horne, Tino and Giles, "Learning long-term dependencies in NARX recurrent neural networks", 1996. Deep Learning,
section 10.9.1.
"""

from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count


@final
class Delays(Cell):
    """U `[hidden, input]`, W `[hidden, delays * hidden]` by delay, b `[hidden]`; the state is the past, newest first.

    Args:
        input_size: features of the input.
        hidden_size: units.
        delays: how many steps ago each connection begins.
    """

    def __init__(self, input_size: int, hidden_size: int, *, delays: tuple[Count, ...] = (1, 4)) -> None:
        super().__init__()
        if not delays or len(set(delays)) < len(delays):
            raise ValueError(f"delays {list(delays)} must be one or more steps, each once")
        self.input_size = input_size
        self.output_size = hidden_size
        self.delays = delays
        self.U = uniform(hidden_size, input_size, units=hidden_size)
        self.W = uniform(hidden_size, len(delays) * hidden_size, units=len(delays) * hidden_size)
        self.b = zeros(hidden_size)

    @override
    def init_state(self, batch_size: int) -> State:
        return {"past": self.b.new_zeros(batch_size, max(self.delays), self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        past = state["past"]
        read = torch.cat([past[:, delay - 1] for delay in self.delays], -1)
        h = (x @ self.U.T + read @ self.W.T + self.b).tanh()
        return h, {"past": torch.cat([h[:, None], past[:, :-1]], 1)}
