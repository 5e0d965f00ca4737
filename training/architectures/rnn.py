r"""The simple recurrent network of Elman: the hidden units read what they were a step ago.

    h_t = f(U x_t + W h_{t-1} + b)          f = tanh or ReLU

Elman, "Finding structure in time", Cognitive Science 14(2), 1990. Deep Learning, section 10.2, equations 10.8 and
10.9. W may begin as the identity, with ReLU and inputs nearly off: the IRNN of Le, Jaitly and Hinton, "A simple way to
initialize recurrent networks of rectified linear units", 2015; or orthogonal: Saxe, McClelland and Ganguli, "Exact
solutions to the nonlinear dynamics of learning in deep linear neural networks", 2014.
"""

from typing import Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.weights import largest_eigenvalue, orthogonal, uniform, zeros
from training.cell import Cell, State
from training.options import Positive

_INPUTS_OFF = 0.001


@final
class RNN(Cell):
    """U `[hidden, input]`, W `[hidden, hidden]`, b `[hidden]`.

    Args:
        input_size: features of the input.
        hidden_size: units.
        activation: f.
        recurrent: how W begins.
        spectral_radius: its largest absolute eigenvalue then, to which it is scaled; as it was drawn unless given.
        input_scale: what U is multiplied by as it begins: small inputs leave tanh nearly linear, and gradients pass.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activation: Literal["tanh", "relu"] = "tanh",
        recurrent: Literal["uniform", "identity", "orthogonal"] = "uniform",
        spectral_radius: Positive | None = None,
        input_scale: Positive = 1.0,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.activation = activation
        self.U = uniform(hidden_size, input_size, units=hidden_size)
        self.b = zeros(hidden_size)
        if recurrent == "orthogonal":
            self.W = orthogonal(hidden_size)
        elif recurrent == "identity":
            self.W = nn.Parameter(torch.eye(hidden_size))
            nn.init.normal_(self.U, std=_INPUTS_OFF)
        else:
            self.W = uniform(hidden_size, hidden_size, units=hidden_size)
        with torch.no_grad():
            self.U.mul_(input_scale)
            if spectral_radius is not None:
                self.W.mul_(spectral_radius / largest_eigenvalue(self.W))

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        a = x @ self.U.T + state["h"] @ self.W.T + self.b
        h = a.tanh() if self.activation == "tanh" else a.relu()
        return h, {"h": h}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        if lengths is not None:
            return super().scan(xs, state, lengths)
        fused = torch.rnn_tanh if self.activation == "tanh" else torch.rnn_relu
        # torch's fused kernel has two biases; ours is one.
        weights = (self.U, self.W, self.b, torch.zeros_like(self.b))
        ys, h = fused(xs, state["h"][None], weights, True, 1, 0.0, self.training, False, True)
        return ys, {"h": h[0]}
