"""The readout of a reservoir in closed form: ridge regression over stretches of a series, of which none is kept."""

from typing import final

import torch
from torch import Tensor

from training.errors import Diverged


@final
class Ridge:
    """Gathers the sums of the normal equations, in float64, and solves them.

    With H the states and Y the targets, each less its mean,

        (H^T H + penalty I) W^T = H^T Y          b = mean(y) - W mean(h)

    so that the bias, which holds the mean, is not made small. Hoerl and Kennard, "Ridge regression", Technometrics
    12(1), 1970; for reservoirs Lukosevicius, "A practical guide to applying echo state networks", 2012, equation 9.

    Args:
        features: of a state.
        outputs: of a target.
        penalty: what the squares of the weights cost.
    """

    def __init__(self, features: int, outputs: int, *, penalty: float) -> None:
        self._penalty = penalty
        self._steps = 0
        self._squares = torch.zeros(features + 1, features + 1, dtype=torch.float64)
        self._products = torch.zeros(features + 1, outputs, dtype=torch.float64)

    def add(self, states: Tensor, targets: Tensor) -> None:
        """Take a stretch: states `[steps, features]`, targets `[steps, outputs]`."""
        ones = torch.ones(len(states), 1, dtype=torch.float64)
        h, y = torch.cat([states.double(), ones], 1), targets.double()
        self._squares.addmm_(h.T, h)
        self._products.addmm_(h.T, y)
        self._steps += len(states)

    def solve(self) -> tuple[Tensor, Tensor]:
        """Give W `[outputs, features]` and b `[outputs]`, FP32; raises Diverged where there is no finite answer."""
        if not self._steps:
            raise Diverged("no step is left to fit the readout to; a shorter `washout` may help")
        mean_h, mean_y = self._squares[-1, :-1] / self._steps, self._products[-1] / self._steps
        squares = self._squares[:-1, :-1] - self._steps * torch.outer(mean_h, mean_h)
        products = self._products[:-1] - self._steps * torch.outer(mean_h, mean_y)
        squares.diagonal().add_(self._penalty)
        weight, info = torch.linalg.solve_ex(squares, products)
        if info.item() or not weight.isfinite().all():
            raise Diverged(
                "the ridge regression has no finite solution; a larger `penalty` or a smaller radius may help"
            )
        return weight.T.float().contiguous(), (mean_y - mean_h @ weight).float()
