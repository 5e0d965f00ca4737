r"""Leaky units: each remembers an average of what it was, over a time of its own.

    v_t = tanh(U x_t + W h_{t-1} + b)
    h_t = alpha * h_{t-1} + (1 - alpha) * v_t

Near 1 alpha remembers about 1 / (1 - alpha) steps, at 0 it is the simple network. Learned alphas are held between 0 and
1 by a sigmoid: alpha = sigmoid(a). Deep Learning, section 10.9.2, with mu for h; Mozer, "Induction of multiscale
temporal structure", 1992; Jaeger et al., "Optimization and applications of echo state networks with leaky-integrator
neurons", 2007.
"""

from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Share


@final
class Leaky(Cell):
    """U `[hidden, input]`, W `[hidden, hidden]`, b `[hidden]`, and a, which has one number or `[hidden]`.

    Args:
        input_size: features of the input.
        hidden_size: units.
        alpha: how much stays a step.
        per_unit: whether each unit has its own, whose times are spread from one step to 1 / (1 - alpha).
        learned: whether it is a parameter, which begins at `alpha`.
    """

    a: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        alpha: Share = 0.9,
        per_unit: bool = False,
        learned: bool = False,
    ) -> None:
        super().__init__()
        if learned and alpha == 0:
            raise ValueError("an alpha of 0 cannot be learned: its sigmoid has no slope there; begin above")
        self.input_size = input_size
        self.output_size = hidden_size
        self.U = uniform(hidden_size, input_size, units=hidden_size)
        self.W = uniform(hidden_size, hidden_size, units=hidden_size)
        self.b = zeros(hidden_size)
        # From the middle of each unit's share of the spread, so that none is 0.
        shares = (torch.arange(hidden_size) + 0.5) / hidden_size if per_unit else torch.ones(1)
        alphas = 1 - (1 - torch.tensor(alpha)) ** shares
        self.learned = learned
        if learned:
            self.a = nn.Parameter(alphas.logit())
        else:
            self.register_buffer("a", alphas)

    @property
    def alpha(self) -> Tensor:
        """How much stays a step, one number or `[hidden]`."""
        return self.a.sigmoid() if self.learned else self.a

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, alpha = state["h"], self.alpha
        v = (x @ self.U.T + h @ self.W.T + self.b).tanh()
        h = alpha * h + (1 - alpha) * v
        return h, {"h": h}
