r"""A cell that is told at the beginning how long its sequence is to be, and counts down.

    n_0 = v                          how many steps there are
    x'_t = (x_t, n_{t-1} / 10, [n_{t-1} = 1])
    n_t = n_{t-1} - 1

The third way of section 10.2.3 to know where a sequence ends: its length is drawn first, and what is left of it is an
input of every step. Goodfellow et al., "Multi-digit number recognition from street view imagery", 2014.
"""

from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.cell import Cell, Conditioned, State

# So that what is left is of the size of the other inputs.
TENTH = 0.1
COUNTED = 2


@final
class Countdown(Conditioned):
    """State: that of the cell inside, and how many steps are left, `[batch, 1]`.

    Args:
        inner: reads the input and the two numbers of what is left; where it is told of something itself, the length
            comes after that.
        input_size: features of the input.
    """

    counts = frozenset({"left"})

    def __init__(self, inner: Cell, input_size: int) -> None:
        super().__init__()
        self.inner = inner
        self.input_size = input_size
        self.output_size = inner.output_size
        self.context_size = 1 + (inner.context_size if isinstance(inner, Conditioned) else 0)

    @override
    def begin(self, context: Tensor) -> State:
        about, left = context[:, :-1], context[:, -1:]
        if isinstance(self.inner, Conditioned):
            return self.inner.begin(about) | {"left": left}
        rows = context.shape[0]
        zeros = self.inner.init_state(1).items()
        return {name: tensor.repeat(rows, *[1] * (tensor.dim() - 1)) for name, tensor in zeros} | {"left": left}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        left = state["left"]
        counted = torch.cat([x, left * TENTH, (left == 1).to(x.dtype)], -1)
        y, inner = self.inner.step(counted, {name: tensor for name, tensor in state.items() if name != "left"})
        return y, inner | {"left": left - 1}
