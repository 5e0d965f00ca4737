r"""From one vector to a sequence: the vector is read at each step, or makes the first state, or both.

    h_0 = tanh(B v)                                    initial, both
    h_t = tanh(U x_t + W h_{t-1} + R v + b)            input, both
    h_t = tanh(U x_t + W h_{t-1} + b)                  initial

x_t is the sequence's own last element. The state carries v, so that a sequence is told of it once. Deep Learning,
section 10.2.4, figure 10.9; Vinyals et al., "Show and tell: a neural image caption generator", 2015.
"""

from typing import Literal, final

from torch import Tensor
from typing_extensions import override

from training.architectures.weights import uniform, zeros
from training.cell import Conditioned, State
from training.options import Count


@final
class VectorToSequence(Conditioned):
    """U `[hidden, input]`, W `[hidden, hidden]`, b `[hidden]`, and R or B or both, `[hidden, context]`.

    Args:
        input_size: features of the input.
        hidden_size: units.
        way: how the vector comes in.
        context_size: features of the vector.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        way: Literal["input", "initial", "both"] = "both",
        context_size: Count = 8,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.context_size = context_size
        self.U = uniform(hidden_size, input_size, units=hidden_size)
        self.W = uniform(hidden_size, hidden_size, units=hidden_size)
        self.b = zeros(hidden_size)
        self.R = uniform(hidden_size, context_size, units=hidden_size) if way != "initial" else None
        self.B = uniform(hidden_size, context_size, units=hidden_size) if way != "input" else None

    @override
    def begin(self, context: Tensor) -> State:
        # Without a bias, so that no vector, all zeros, is the state of zeros.
        h = context.new_zeros(context.shape[0], self.output_size) if self.B is None else (context @ self.B.T).tanh()
        return {"h": h} if self.R is None else {"h": h, "v": context}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        a = x @ self.U.T + state["h"] @ self.W.T + self.b
        h = (a if self.R is None else a + state["v"] @ self.R.T).tanh()
        return h, state | {"h": h}
