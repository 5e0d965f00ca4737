r"""RWKV's time mixing: an average of all values so far, weighted by their keys, that fades by rates of its own.

    r_t = sigmoid(W_r mix_r);  k_t = W_k mix_k;  v_t = W_v mix_v        mix = mu * x_t + (1 - mu) * x_{t-1}
    wkv_t = (sum over i < t of exp(-(t-1-i) w + k_i) v_i + exp(u + k_t) v_t) / (the same without v)
    y_t = W_o (r_t * wkv_t)                                             w = exp(d) > 0

The sums are kept by the largest exponent so far, p, so that nothing overflows: a and b are the sum with v and without
it, over exp(p). Peng et al., "RWKV: reinventing RNNs for the transformer era", 2023, the time mixing.
Training repeats the step.
"""

from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.weights import uniform
from training.cell import Cell, State

# The exponent of a sum that nothing is in yet.
NOTHING = -1e30


@final
class RWKV(Cell):
    """States: the last input, `last [batch, input]`, and `a`, `b`, `p`, `[batch, hidden]`.

    Parameters in the order r, k, v: mu `[3, input]`, W `[3 hidden, input]`; O `[hidden, hidden]`.
    """

    takes_any_state = False

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.mu = nn.Parameter(torch.full((3, input_size), 0.5))
        self.W = uniform(3 * hidden_size, input_size, units=input_size)
        # From rates that forget within a step to such that keep for hundreds.
        self.d = nn.Parameter(torch.linspace(-5.0, 1.0, hidden_size))
        self.u = nn.Parameter(torch.zeros(hidden_size))
        self.O = uniform(hidden_size, hidden_size, units=hidden_size)

    @override
    def init_state(self, batch_size: int) -> State:
        nothing = self.u.new_zeros(batch_size, self.output_size)
        state = {"last": self.u.new_zeros(batch_size, self.input_size), "a": nothing, "b": nothing.clone()}
        return state | {"p": torch.full_like(nothing, NOTHING)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        a, b, p = state["a"], state["b"], state["p"]
        n, change = self.output_size, x - state["last"]
        r, k, v = ((state["last"] + self.mu[i] * change) @ self.W[i * n : (i + 1) * n].T for i in range(3))
        top = torch.maximum(p, self.u + k)
        before, now = (p - top).exp(), (self.u + k - top).exp()
        wkv = (before * a + now * v) / (before * b + now)
        faded = p - self.d.exp()
        p = torch.maximum(faded, k)
        before, now = (faded - p).exp(), (k - p).exp()
        after = {"last": x, "a": before * a + now * v, "b": before * b + now, "p": p}
        return (r.sigmoid() * wkv) @ self.O.T, after
