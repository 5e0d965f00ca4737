r"""Minimal GRU and LSTM: gates that read the input alone, so that all steps can be trained at once.

    z_t = sigmoid(U_z x_t + b_z);  n_t = U_n x_t + b_n
    h_t = (1 - z_t) * h_{t-1} + z_t * n_t                               minGRU

    f_t = sigmoid(U_f x_t + b_f);  i_t = sigmoid(U_i x_t + b_i);  n_t = U_n x_t + b_n
    h_t = (f_t * h_{t-1} + i_t * n_t) / (f_t + i_t)                     minLSTM

Feng, Tung, Hajimirsadeghi, Ahmed and Bengio, "Were RNNs all we needed?", 2024, sections 3.1 and 3.2. What the gates do
not read of the past, a layer above can read of the outputs of the one below: they are meant to be stacked.
"""

from typing import final

from torch import Tensor
from typing_extensions import override

from training.architectures.linear_scan import at_lengths, linear_scan, until
from training.architectures.weights import uniform, zeros
from training.cell import Cell, State


@final
class MinGRU(Cell):
    """Parameters in the order z, n: U `[2 hidden, input]`, b `[2 hidden]`."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.U = uniform(2 * hidden_size, input_size, units=hidden_size)
        self.b = zeros(2 * hidden_size)

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        kept, new = self._parts(x)
        h = kept * state["h"] + new
        return h, {"h": h}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        hs = linear_scan(*self._parts(xs), state["h"])
        return until(hs, lengths), {"h": at_lengths(hs, lengths)}

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give what is kept of the state and what is added, `[…, hidden]` each."""
        z, n = (x @ self.U.T + self.b).chunk(2, -1)
        z = z.sigmoid()
        return 1 - z, z * n


@final
class MinLSTM(Cell):
    """Parameters in the order f, i, n: U `[3 hidden, input]`, b `[3 hidden]`; the forget gate's bias begins at one."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.U = uniform(3 * hidden_size, input_size, units=hidden_size)
        self.b = zeros(3 * hidden_size)
        self.b.data[:hidden_size] = 1.0

    @override
    def init_state(self, batch_size: int) -> State:
        return {"h": self.b.new_zeros(batch_size, self.output_size)}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        kept, new = self._parts(x)
        h = kept * state["h"] + new
        return h, {"h": h}

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        hs = linear_scan(*self._parts(xs), state["h"])
        return until(hs, lengths), {"h": at_lengths(hs, lengths)}

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give what is kept of the state and what is added, `[…, hidden]` each."""
        f, i, n = (x @ self.U.T + self.b).chunk(3, -1)
        f, i = f.sigmoid(), i.sigmoid()
        return f / (f + i), i / (f + i) * n
