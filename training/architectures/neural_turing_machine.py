r"""The neural Turing machine: a controller whose heads write to a memory and read from it.

    h_t = controller([x_t, r_{t-1}], h_{t-1})                       an LSTM, or tanh(U [x_t, r_{t-1}] + b)
    w_t = find(M_{t-1}, w_{t-1}, address(H h_t + p))                every head, by content and by place
    M_t(i) = M_{t-1}(i) * product over write heads of (1 - w_t(i) e_t) + sum over write heads of w_t(i) a_t
    r_t = sum over i of w_t(i) M_t(i)                               every read head
    y_t = [h_t, r_t]

What is written at a step can be read at once. Graves, Wayne and Danihelka, "Neural Turing machines", 2014, equations 2
to 9, the last four of which are in turing_memory. It begins with all heads at slot 0 of a memory that is all but zero,
as Collier and Beel, "Implementing neural Turing machines", 2018, found best. Deep Learning, section 10.12.
"""

from typing import Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.lstm import LSTM
from training.architectures.turing_memory import address, find
from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count

FIRST_MEMORY = 1e-6


@final
class FeedForward(Cell):
    """A controller that remembers nothing itself: U `[hidden, input]`, b `[hidden]`."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size
        self.U = uniform(hidden_size, input_size, units=hidden_size)
        self.b = zeros(hidden_size)

    @override
    def init_state(self, batch_size: int) -> State:
        return {}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return (x @ self.U.T + self.b).tanh(), state


@final
class NeuralTuringMachine(Cell):
    """The controller's parameters, its first state, H `[numbers of all heads, hidden]` and p.

    Args:
        input_size: features of the input.
        hidden_size: units of the controller.
        reads: heads that read; their weights are the state's first.
        writes: heads that write.
        slots: of the memory.
        width: numbers of a slot.
        shift: how far a head may move in a step, either way.
        controller: what emits the heads' addresses.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reads: Count = 1,
        writes: Count = 1,
        slots: Count = 128,
        width: Count = 20,
        shift: Count = 1,
        controller: Literal["lstm", "feed_forward"] = "lstm",
    ) -> None:
        super().__init__()
        if slots <= 2 * shift:
            raise ValueError(
                f"{slots} slots are too few for shifts of {shift} either way; there must be {2 * shift + 1}"
            )
        self.input_size = input_size
        self.output_size = hidden_size + reads * width
        self.reads, self.writes, self.slots, self.width = reads, writes, slots, width
        kind = LSTM if controller == "lstm" else FeedForward
        self.controller: Cell = kind(input_size + reads * width, hidden_size)
        self.first = nn.ParameterDict({name: zeros(hidden_size) for name in self.controller.init_state(1)})
        self.addressed = width + 2 * shift + 4
        self.emitted = [(reads + writes) * self.addressed, writes * width, writes * width]
        self.H = uniform(sum(self.emitted), hidden_size, units=hidden_size)
        self.p = zeros(sum(self.emitted))

    @override
    def init_state(self, batch_size: int) -> State:
        w = self.p.new_zeros(batch_size, self.reads + self.writes, self.slots)
        w[..., 0] = 1
        M = self.p.new_full((batch_size, self.slots, self.width), FIRST_MEMORY)
        r = self.p.new_zeros(batch_size, self.reads * self.width)
        return {name: h.expand(batch_size, -1) for name, h in self.first.items()} | {"M": M, "w": w, "r": r}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, inner = self.controller.step(torch.cat([x, state["r"]], -1), {name: state[name] for name in self.first})
        raw, e, a = torch.split(h @ self.H.T + self.p, self.emitted, -1)
        raw = raw.reshape(-1, self.reads + self.writes, self.addressed)
        w = find(state["M"], state["w"], address(raw, self.width))
        M = self._write(state["M"], w[:, self.reads :, :, None], e.sigmoid(), a.tanh())
        r = (w[:, : self.reads] @ M).reshape(-1, self.reads * self.width)
        return torch.cat([h, r], -1), inner | {"M": M, "w": w, "r": r}

    def _write(self, M: Tensor, w: Tensor, e: Tensor, a: Tensor) -> Tensor:
        """Erase, then add; in which order the heads do does not matter."""
        e, a = (v.reshape(-1, self.writes, 1, self.width) for v in (e, a))
        for head in range(self.writes):
            M = M * (1 - w[:, head] @ e[:, head])
        for head in range(self.writes):
            M = torch.baddbmm(M, w[:, head], a[:, head])
        return M
