r"""The gated delta rule: a matrix of associations for each head; what a key had is taken out before it has another.

    q_t, k_t = norm(Q x_t), norm(K x_t);  v_t = V x_t                   vectors of each head, q and k of length 1
    alpha_t = sigmoid(w_a' x_t + b_a);  beta_t = sigmoid(w_b' x_t + b_b)        of each head: what is kept, the rate
    S_t = alpha_t (S_{t-1} - beta_t (S_{t-1} k_t) k_t') + beta_t v_t k_t'
    y_t = O [S_t q_t of all heads]

Yang, Kautz and Hatamizadeh, "Gated delta networks: improving Mamba2 with delta rule", 2024; without its
gate the rule is that of Schlag, Irie and Schmidhuber, "Linear transformers are secretly fast weight programmers", 2021.
Training repeats the step: the chunked form of the paper is not here. Sums are products of matrices, whose bits ONNX
Runtime gives alike in any batch.
"""

from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count

# What the gate that keeps begins at: sigmoid(4) is 0.98 a step.
KEEPS = 4.0
# Of the length of a vector that may be zero.
LEAST_SQUARE = 1e-12


@final
class GatedDelta(Cell):
    """State: `S [batch, heads, width, width]`, from keys to values, with as many heads as divide `hidden_size`.

    Args:
        input_size: features of the input.
        hidden_size: features of all heads' values, keys and queries, and of the output.
        heads: matrices.
    """

    def __init__(self, input_size: int, hidden_size: int, *, heads: Count = 1) -> None:
        super().__init__()
        if hidden_size % heads:
            raise ValueError(f"{hidden_size} hidden units are not divided by cell.heads, {heads}")
        self.input_size, self.output_size = input_size, hidden_size
        self.heads, self.width = heads, hidden_size // heads
        self.U = uniform(3 * hidden_size, input_size, units=input_size)
        self.w = uniform(2 * heads, input_size, units=input_size)
        self.b = zeros(2 * heads)
        self.b.data[:heads] = KEEPS
        self.O = uniform(hidden_size, hidden_size, units=hidden_size)

    @override
    def init_state(self, batch_size: int) -> State:
        return {"S": self.b.new_zeros(batch_size, self.heads, self.width, self.width)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        q, k, v = (part.reshape(-1, self.heads, self.width) for part in (x @ self.U.T).chunk(3, -1))
        q, k = _unit(q[..., None]), _unit(k[..., None])
        alpha, beta = (x @ self.w.T + self.b).sigmoid()[..., None, None].chunk(2, 1)
        S = alpha * state["S"]
        S = S + beta * (v[..., None] - S @ k) * k.transpose(-1, -2)
        return torch.flatten(S @ q, 1) @ self.O.T, {"S": S}


def _unit(v: Tensor) -> Tensor:
    """Give columns `[…, width, 1]` of length 1."""
    return v / (v.transpose(-1, -2) @ v).clamp_min(LEAST_SQUARE).sqrt()
