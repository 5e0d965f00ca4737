r"""The echo state network: a reservoir that is drawn once and never trained; only what reads it learns.

    v_t = tanh(input_scale * U x_t + W h_{t-1} + bias * b)
    h_t = (1 - leak) * h_{t-1} + leak * v_t

W is sparse and scaled to the spectral radius, below which the state echoes the inputs and forgets how it began. Jaeger,
"The 'echo state' approach to analysing and training recurrent neural networks", 2001; Jaeger and Haas, "Harnessing
nonlinearity", 2004; Lukosevicius and Jaeger, "Reservoir computing approaches to recurrent neural network training",
2009. Deep Learning, section 10.8.
"""

from typing import Annotated, final

import msgspec
import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from typing_extensions import override

from training.architectures.weights import largest_eigenvalue
from training.cell import Cell, State
from training.options import Positive

PositiveShare = Annotated[float, msgspec.Meta(gt=0, le=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


@final
class EchoState(Cell):
    """U `[hidden, input]`, W `[hidden, hidden]`, b `[hidden]`, none of which is a parameter.

    Args:
        input_size: features of the input.
        hidden_size: units of the reservoir.
        spectral_radius: the largest absolute eigenvalue of W.
        leak: how much of a step is new.
        input_scale: the largest weight of an input.
        bias: the largest bias.
        density: the share of W that is not zero; each unit reads one other at least.
    """

    U: Tensor
    W: Tensor
    b: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        spectral_radius: Positive = 0.9,
        leak: PositiveShare = 1.0,
        input_scale: Positive = 0.5,
        bias: NotNegative = 0.2,
        density: PositiveShare = 0.1,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.leak = leak
        self.register_buffer("U", input_scale * torch.empty(hidden_size, input_size).uniform_(-1, 1))
        self.register_buffer("W", spectral_radius * _reservoir(hidden_size, density))
        self.register_buffer("b", bias * torch.empty(hidden_size).uniform_(-1, 1))

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = state["h"]
        v = (x @ self.U.T + h @ self.W.T + self.b).tanh()
        h = (1 - self.leak) * h + self.leak * v
        return h, {"h": h}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        if len(xs) > 1 or lengths is not None or xs.requires_grad or state["h"].requires_grad or self.W.is_cuda:
            return super().scan(xs, state, lengths)
        # One series is read by the weights that are there; of several the product as a whole is the faster one.
        W, h = csr_array(self.W.numpy()), state["h"][0].numpy()
        ys = (xs[0] @ self.U.T + self.b).numpy()
        for a in ys:
            v = np.tanh(a + W @ h)
            a[:] = h = (1 - self.leak) * h + self.leak * v
        return torch.from_numpy(ys)[None], {"h": torch.from_numpy(h)[None].clone()}


def _reservoir(units: int, density: float) -> Tensor:
    """Draw a sparse matrix of spectral radius 1."""
    W = torch.empty(units, units).uniform_(-1, 1) * (torch.rand(units, units) < density)
    # A cycle through all units, without which a small and sparse matrix may have no eigenvalue but 0.
    W += torch.roll(torch.eye(units), 1, 0) * (W == 0)
    return W / largest_eigenvalue(W)
