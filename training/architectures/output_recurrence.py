r"""Recurrence from the output alone: less powerful, and trained in parallel where the true outputs are known.

    h_t = tanh(U x_t + W o_{t-1} + b)
    o_t = V h_t + c

Teacher forcing puts the truth in the place of o_{t-1}, so that no gradient goes through time. Jordan, "Serial order: a
parallel distributed processing approach", 1986. Deep Learning, figure 10.4 and section 10.2.1.
"""

from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count


@final
class OutputRecurrence(Cell):
    """U `[hidden, input]`, W `[hidden, output]`, b `[hidden]`, V `[output, hidden]`, c `[output]`.

    Args:
        input_size: features of the input.
        hidden_size: units.
        output_size: features of o; as many as units unless given.
    """

    def __init__(self, input_size: int, hidden_size: int, *, output_size: Count | None = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size or hidden_size
        self.U = uniform(hidden_size, input_size, units=hidden_size)
        self.W = uniform(hidden_size, self.output_size, units=hidden_size)
        self.b = zeros(hidden_size)
        self.V = uniform(self.output_size, hidden_size, units=hidden_size)
        self.c = zeros(self.output_size)

    @override
    def init_state(self, batch_size: int) -> State:
        return {"o": self.c.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        o = self._output(x, state["o"])
        return o, {"o": o}

    def forced(self, xs: Tensor, truth: Tensor, state: State) -> tuple[Tensor, State]:
        """Run all steps at once on the true outputs.

        Args:
            xs: `[batch, time, input_size]`.
            truth: the output that each step should have, `[batch, time, output_size]`; the next step reads it.
            state: before the first step.

        Returns:
            Outputs `[batch, time, output_size]`, and the state: the truth at the last step.
        """
        before = torch.cat([state["o"][:, None], truth[:, :-1]], 1)
        return self._output(xs, before), {"o": truth[:, -1]}

    def _output(self, x: Tensor, before: Tensor) -> Tensor:
        h = (x @ self.U.T + before @ self.W.T + self.b).tanh()
        return h @ self.V.T + self.c
