r"""The differentiable neural computer: a memory that knows which slots are free and in which order it was written.

    h_t = controller([x_t, r_{t-1}], h_{t-1})                       an LSTM, or tanh(U [x_t, r_{t-1}] + b)
    k^r, beta^r, k^w, beta^w, e, v, f, g^a, g^w, pi = W_xi h_t + b_xi                           the interface
    psi_t = product over read heads of (1 - f w^r_{t-1})                                        retention
    u_t = (u_{t-1} + w^w_{t-1} - u_{t-1} * w^w_{t-1}) * psi_t                                   usage
    a_t(i) = (1 - u_t(i)) product over slots j less used than i of u_t(j)                       allocation
    c^w_t = C(M_{t-1}, k^w, beta^w)
    w^w_t = g^w (g^a a_t + (1 - g^a) c^w_t)                                                     write weighting
    M_t = M_{t-1} * (1 - w^w_t e) + w^w_t v
    L_t(i, j) = (1 - w^w_t(i) - w^w_t(j)) L_{t-1}(i, j) + w^w_t(i) p_{t-1}(j),  L_t(i, i) = 0   link matrix
    p_t = (1 - sum over i of w^w_t(i)) p_{t-1} + w^w_t                                          precedence
    w^r_t = pi(1) L_t' w^r_{t-1} + pi(2) C(M_t, k^r, beta^r) + pi(3) L_t w^r_{t-1}              read weighting
    r_t = sum over i of w^r_t(i) M_t(i)                                                         every read head
    y_t = [h_t, r_t]

C is content in turing_memory. Graves, Wayne, Reynolds et al., "Hybrid computing using a neural network with dynamic
external memory", Nature 538, 2016, methods, whose W_y and W_r are what a model reads y with. It begins with zeros. Of
slots that are used alike the paper leaves open which comes first; here the first does. Deep Learning, section 10.12.
"""

from typing import Literal, NamedTuple, final

import torch
from torch import Tensor
from typing_extensions import override

from training.architectures.lstm import LSTM
from training.architectures.neural_turing_machine import FeedForward
from training.architectures.turing_memory import content, softplus
from training.architectures.weights import uniform, zeros
from training.cell import Cell, State
from training.options import Count

# How much less a slot must be used for each place that it comes after another, so that it is taken first. Untouched
# slots are used alike but for rounding, and another machine's last digits would give them another order.
ALIKE = 1e-4


class Interface(NamedTuple):
    """What the memory is told, `[batch, reads, …]` for reading and `[batch, 1, …]` for writing.

    Keys, e and v are as wide as a slot, pi is of three ways to read, others are one number.
    """

    k_r: Tensor
    beta_r: Tensor
    k_w: Tensor
    beta_w: Tensor
    e: Tensor
    v: Tensor
    f: Tensor
    g_a: Tensor
    g_w: Tensor
    pi: Tensor


@final
class DifferentiableNeuralComputer(Cell):
    """The controller's parameters, W_xi `[reads (width + 5) + 3 width + 3, hidden]` and b_xi.

    Args:
        input_size: features of the input.
        hidden_size: units of the controller.
        reads: heads that read; one writes.
        slots: of the memory.
        width: numbers of a slot.
        controller: what emits the interface.
    """

    # Links and weights that are not shares of a whole would grow at every step.
    takes_any_state = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reads: Count = 1,
        slots: Count = 32,
        width: Count = 16,
        controller: Literal["lstm", "feed_forward"] = "lstm",
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = hidden_size + reads * width
        self.reads, self.slots, self.width = reads, slots, width
        kind = LSTM if controller == "lstm" else FeedForward
        self.controller: Cell = kind(input_size + reads * width, hidden_size)
        self.own = tuple(self.controller.init_state(1))
        # Of each part of the interface for how many heads it is, and how wide.
        reading, writing = [(reads, width), (reads, 1)], [(1, width), (1, 1), (1, width), (1, width)]
        self.parts = [*reading, *writing, (reads, 1), (1, 1), (1, 1), (reads, 3)]
        self.emitted = [heads * wide for heads, wide in self.parts]
        self.W_xi = uniform(sum(self.emitted), hidden_size, units=hidden_size)
        self.b_xi = zeros(sum(self.emitted))

    @override
    def init_state(self, batch_size: int) -> State:
        def zero(*shape: int) -> Tensor:
            return self.b_xi.new_zeros(batch_size, *shape)

        return self.controller.init_state(batch_size) | {
            "M": zero(self.slots, self.width),
            "u": zero(self.slots),
            "p": zero(self.slots),
            "L": zero(self.slots, self.slots),
            "w_w": zero(self.slots),
            "w_r": zero(self.reads, self.slots),
            "r": zero(self.reads * self.width),
        }

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, inner = self.controller.step(torch.cat([x, state["r"]], -1), {name: state[name] for name in self.own})
        told = self._interface(h)
        u = usage(state["u"], state["w_w"], state["w_r"], told.f)
        w_w = write_weighting(state["M"], u, told)
        M = state["M"] * (1 - w_w[..., None] * told.e) + w_w[..., None] * told.v
        L = link(state["L"], state["p"], w_w)
        p = precedence(state["p"], w_w)
        w_r = read_weighting(M, L, state["w_r"], told)
        r = (w_r @ M).reshape(-1, self.reads * self.width)
        return torch.cat([h, r], -1), inner | {"M": M, "u": u, "p": p, "L": L, "w_w": w_w, "w_r": w_r, "r": r}

    def _interface(self, h: Tensor) -> Interface:
        """Hold what the controller emits to its ranges: beta is above 1, pi sums to 1, shares are shares."""
        raw = torch.split(h @ self.W_xi.T + self.b_xi, self.emitted, -1)
        k_r, beta_r, k_w, beta_w, e, v, f, g_a, g_w, pi = (
            part.reshape(-1, *sizes) for part, sizes in zip(raw, self.parts, strict=True)
        )
        e, f, g_a, g_w = e.sigmoid(), f.sigmoid(), g_a.sigmoid(), g_w.sigmoid()
        return Interface(k_r, 1 + softplus(beta_r), k_w, 1 + softplus(beta_w), e, v, f, g_a, g_w, pi.softmax(-1))


def usage(u: Tensor, w_w: Tensor, w_r: Tensor, f: Tensor) -> Tensor:
    """Tell how much slots are used, `[batch, slots]`: what was written to is, unless it was read and then freed."""
    u = u + w_w - u * w_w
    for head in range(w_r.shape[1]):
        u = u * (1 - f[:, head] * w_r[:, head])
    return u


def allocation(u: Tensor) -> Tensor:
    """Weigh slots by how free they are, the least used first, `[batch, slots]`.

    The paper sorts and multiplies along the order; here each slot asks all others whether they come before it.
    """
    at = torch.arange(u.shape[-1], device=u.device)
    rank = u + ALIKE * at.to(u.dtype)
    first, last = rank[:, None, :], rank[:, :, None]
    before = (first < last) | ((first == last) & (at < at[:, None]))
    return (1 - u) * product(torch.where(before, u[:, None, :], 1.0))


def product(a: Tensor) -> Tensor:
    """Multiply over the last axis in an order that no batch changes."""
    while (size := a.shape[-1]) > 1:
        half = size // 2
        pairs = a[..., :half] * a[..., half : 2 * half]
        a = pairs if size % 2 == 0 else torch.cat([pairs, a[..., -1:]], -1)
    return a[..., 0]


def write_weighting(M: Tensor, u: Tensor, told: Interface) -> Tensor:
    """Weigh where to write, `[batch, slots]`, between what is free and what is like the key."""
    by_content = content(M, told.k_w, told.beta_w)[:, 0]
    g_a, g_w = told.g_a[:, 0], told.g_w[:, 0]
    return g_w * (g_a * allocation(u) + (1 - g_a) * by_content)


def link(L: Tensor, p: Tensor, w_w: Tensor) -> Tensor:
    """Tell how much slot i was written after slot j, `[batch, slots i, slots j]`."""
    at, after, before = torch.arange(p.shape[-1], device=p.device), w_w[:, :, None], w_w[:, None, :]
    return torch.where(at != at[:, None], (1 - after - before) * L + after * p[:, None, :], 0.0)


def precedence(p: Tensor, w_w: Tensor) -> Tensor:
    """Tell how much slots were the last that was written to, `[batch, slots]`."""
    return (1 - w_w @ w_w.new_ones(w_w.shape[-1], 1)) * p + w_w


def read_weighting(M: Tensor, L: Tensor, w_r: Tensor, told: Interface) -> Tensor:
    """Weigh where to read, `[batch, reads, slots]`: from what was read back, by content, or on."""
    back, alike, on = told.pi.chunk(3, -1)
    by_content = content(M, told.k_r, told.beta_r)
    return back * (w_r @ L) + alike * by_content + on * (w_r @ L.transpose(1, 2))
