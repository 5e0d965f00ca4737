r"""Deep transition and deep output: more than one layer between a state and the next, or between it and the output.

    h_t = f_L(f_{L-1}(... f_1(U x_t + W h_{t-1} + b) ...))          f_l(a) = tanh(W_l a + b_l) above the first
    h_t = tanh(W_L ... + S h_{t-1} + b_L)                           with a shortcut, which keeps the way back short
    y_t = g_K(... g_1(h_t) ...)                                     g_k(a) = tanh(V_k a + c_k)

Pascanu, Gulcehre, Cho and Bengio, "How to construct deep recurrent neural networks", 2014: DT-RNN, DT(S)-RNN and
DO-RNN. Deep Learning, section 10.5, figure 10.13 b and c.
"""

from typing import Annotated, Literal, final

import msgspec
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count

Layers = Annotated[int, msgspec.Meta(ge=0)]


@final
class DeepTransition(Cell):
    """U `[hidden, input]`, W `[hidden, hidden]`, b `[hidden]`; above them `[hidden, hidden]` with `[hidden]` each.

    Args:
        input_size: features of the input.
        hidden_size: units of every layer.
        transition: layers from a state to the next.
        output: layers from the state to the output.
        shortcut: whether the last layer of the transition reads the old state too.
        recurrent: how the matrices on the way from state to state begin; with a shortcut it is the way that counts.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        transition: Count = 2,
        output: Layers = 0,
        shortcut: bool = False,
        recurrent: Literal["uniform", "orthogonal"] = "uniform",
    ) -> None:
        super().__init__()
        if shortcut and transition == 1:
            raise ValueError("a shortcut goes around layers of the transition, of which there is one only")
        self.input_size = input_size
        self.output_size = hidden_size
        self.U = uniform(hidden_size, input_size, units=hidden_size)
        self.W = uniform(hidden_size, hidden_size, units=hidden_size)
        self.b = zeros(hidden_size)
        self.S = uniform(hidden_size, hidden_size, units=hidden_size) if shortcut else None
        self.transition = _layers(hidden_size, transition - 1)
        self.output = _layers(hidden_size, output)
        if recurrent == "orthogonal":
            through = [self.W, *(layer.weight for layer in self.transition if isinstance(layer, nn.Linear))]
            for weight in through if self.S is None else [self.S]:
                nn.init.orthogonal_(weight)

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = state["h"]
        a = x @ self.U.T + h @ self.W.T + self.b
        for layer in self.transition:
            a = layer(a.tanh())
        h = (a if self.S is None else a + h @ self.S.T).tanh()
        y = h
        for layer in self.output:
            y = layer(y).tanh()
        return y, {"h": h}


def _layers(units: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(units, units) for _ in range(count))
