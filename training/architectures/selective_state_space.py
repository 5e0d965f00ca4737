r"""Selective state spaces: the input decides how long each number of the state is kept, and what is written and read.

    [u~_t, z_t] = U x_t
    u_t = silu(sum over j of w_j * u~_{t-j} + a)                        a short convolution, of `past` steps back
    [d_t, B_t, C_t] = W u_t;  delta_t = softplus(V d_t + b)
    h_t = exp(delta_t A) * h_{t-1} + (delta_t * u_t) B_t'               A = -exp(L) [hidden, width]
    y_t = O ((h_t C_t + D * u_t) * silu(z_t))

Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023, algorithm 2 and figure 3: the
block with its recurrence, as large inside as outside; B is discretised as in its code, by delta alone. Training
computes all steps at once. A softplus is a log-softmax, whose bits ONNX Runtime gives alike in any batch.
"""

import math
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.linear_scan import at_lengths, linear_scan, until
from training.architectures.turing_memory import softplus
from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count

# The steps that delta begins within, uniform in their logarithm.
SHORTEST, LONGEST = 1e-3, 1e-1


@final
class SelectiveStateSpace(Cell):
    """States: `h [batch, hidden, width]`, and the inputs that the convolution still reads, `u [batch, past, hidden]`.

    Args:
        input_size: features of the input.
        hidden_size: features inside, and of the output.
        width: numbers of the state for each of them.
        past: steps before its own that the convolution reads.
        rank: numbers that delta is made of.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, width: Count = 8, past: Count = 3, rank: Count = 4
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.width, self.past, self.rank = width, past, rank
        self.U = uniform(2 * hidden_size, input_size, units=input_size)
        self.w = uniform(past + 1, hidden_size, units=past + 1)
        self.a = zeros(hidden_size)
        self.W = uniform(rank + 2 * width, hidden_size, units=hidden_size)
        self.V = uniform(hidden_size, rank, units=rank)
        delta = torch.exp(torch.rand(hidden_size) * math.log(LONGEST / SHORTEST) + math.log(SHORTEST))
        self.b = nn.Parameter(delta.expm1().log())
        self.L = nn.Parameter(torch.arange(1.0, width + 1).log().repeat(hidden_size, 1))
        self.D = nn.Parameter(torch.ones(hidden_size))
        self.O = uniform(hidden_size, hidden_size, units=hidden_size)

    @override
    def init_state(self, batch_size: int) -> State:
        n = self.output_size
        return {
            "h": self.D.new_zeros(batch_size, n, self.width),
            "u": self.D.new_zeros(batch_size, self.past, n),
        }

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        new, z = (x @ self.U.T).chunk(2, -1)
        window = torch.cat([state["u"], new[:, None]], 1)
        u = self._convolved([window[:, j] for j in range(self.past + 1)])
        kept, added, C = self._parts(u)
        h = kept * state["h"] + added
        return self._written(h, C, u, z), {"h": h, "u": window[:, 1:]}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        time = xs.shape[1]
        new, z = (xs @ self.U.T).chunk(2, -1)
        window = torch.cat([state["u"], new], 1)
        u = self._convolved([window[:, j : j + time] for j in range(self.past + 1)])
        kept, added, C = self._parts(u)
        hs = linear_scan(kept, added, state["h"])
        ends = torch.full((len(xs),), time, device=xs.device) if lengths is None else lengths
        places = ends[:, None] + torch.arange(self.past, device=xs.device)
        last = window.gather(1, places[..., None].expand(-1, -1, self.output_size))
        return until(self._written(hs, C, u, z), lengths), {"h": at_lengths(hs, lengths), "u": last}

    def _convolved(self, window: list[Tensor]) -> Tensor:
        """Give what the convolution makes of the newest input, last in the window, and of those before it."""
        total = self.a
        for part, weight in zip(window, self.w, strict=True):
            total = total + part * weight
        return _silu(total)

    def _parts(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give what is kept of the state and what is added, `[…, hidden, width]`, and what reads it, `[…, width]`."""
        d, B, C = torch.split(u @ self.W.T, [self.rank, self.width, self.width], -1)
        delta = softplus(d @ self.V.T + self.b)[..., None]
        return (-delta * self.L.exp()).exp(), delta * u[..., None] * B[..., None, :], C

    def _written(self, h: Tensor, C: Tensor, u: Tensor, z: Tensor) -> Tensor:
        read = (h @ C[..., None])[..., 0] + self.D * u
        written: Tensor = (read * _silu(z)) @ self.O.T
        return written


def _silu(a: Tensor) -> Tensor:
    return a * a.sigmoid()
