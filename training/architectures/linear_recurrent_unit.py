r"""Linear recurrent units: a diagonal of complex numbers, each a damped oscillation, trained over all steps at once.

    lambda = exp(-exp(nu) + i exp(theta));  gamma = exp(g), at first sqrt(1 - |lambda|^2)
    h_t = lambda * h_{t-1} + gamma * (B x_t)
    u_t = Re(C h_t) + D x_t
    y_t = u_t * sigmoid(G u_t + b)                                      the gate; without it y_t = u_t

The eigenvalues begin in a ring between two radii, at angles up to a largest one. Complex numbers are pairs of reals, so
that the step is one of ONNX's. Orvieto et al., "Resurrecting recurrent neural networks for long sequences", 2023,
sections 3.2 to 3.4 and appendix A; the gate is that of the block around it.
"""

import math
from typing import Annotated, final

import msgspec
import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.linear_scan import at_lengths, linear_scan, until
from training.architectures.weights import uniform, zeros
from training.cell import Cell, State

Radius = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Angle = Annotated[float, msgspec.Meta(gt=0, le=2 * math.pi)]


@final
class LinearRecurrentUnit(Cell):
    """States: the real and the imaginary parts `re` and `im`, `[batch, hidden]`.

    Args:
        input_size: features of the input.
        hidden_size: complex units, and features of the output.
        least: the smallest absolute eigenvalue at first.
        most: the largest.
        angle: the largest angle at first, in radians a step.
        gated: whether what comes out is gated.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        least: Radius = 0.9,
        most: Radius = 0.999,
        angle: Angle = math.pi / 10,
        gated: bool = True,
    ) -> None:
        super().__init__()
        if least >= most:
            raise ValueError(f"cell.least is {least}, which must be below cell.most, {most}")
        self.input_size, self.output_size = input_size, hidden_size
        squares = least**2 + torch.rand(hidden_size) * (most**2 - least**2)
        self.nu = nn.Parameter((-squares.log() / 2).log())
        self.theta = nn.Parameter((angle * (1 - torch.rand(hidden_size))).log())
        self.g = nn.Parameter((1 - squares).log() / 2)
        self.B = uniform(2 * hidden_size, input_size, units=input_size)
        self.C = uniform(hidden_size, 2 * hidden_size, units=2 * hidden_size)
        self.D = uniform(hidden_size, input_size, units=input_size)
        self.G = uniform(hidden_size, hidden_size, units=hidden_size) if gated else None
        self.b = zeros(hidden_size) if gated else None

    @override
    def init_state(self, batch_size: int) -> State:
        return {name: self.nu.new_zeros(batch_size, self.output_size) for name in ("re", "im")}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        radius, angle = (-self.nu.exp()).exp(), self.theta.exp()
        a, b = radius * angle.cos(), radius * angle.sin()
        new_re, new_im = self._read(x)
        re = a * state["re"] - b * state["im"] + new_re
        im = a * state["im"] + b * state["re"] + new_im
        return self._written(re, im, x), {"re": re, "im": im}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        eigenvalues = torch.polar((-self.nu.exp()).exp(), self.theta.exp())
        new = torch.complex(*self._read(xs))
        hs = linear_scan(eigenvalues.expand_as(new), new, torch.complex(state["re"], state["im"]))
        last = at_lengths(hs, lengths)
        return until(self._written(hs.real, hs.imag, xs), lengths), {"re": last.real, "im": last.imag}

    def _read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the real and the imaginary parts of what comes in, `[…, hidden]` each."""
        re, im = (x @ self.B.T).chunk(2, -1)
        return self.g.exp() * re, self.g.exp() * im

    def _written(self, re: Tensor, im: Tensor, x: Tensor) -> Tensor:
        u = torch.cat([re, -im], -1) @ self.C.T + x @ self.D.T
        return u if self.G is None or self.b is None else u * (u @ self.G.T + self.b).sigmoid()
