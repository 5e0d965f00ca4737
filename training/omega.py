r"""The regulariser that keeps the norm of gradients as they flow back through time.

    Omega = sum over k of ( |dE/dh_{k+1} dh_{k+1}/dh_k| / |dE/dh_{k+1}| - 1 )^2

Of its own gradient only the immediate derivative with respect to W enters: every h_k and dE/dh_k counts as given.
Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013, equations 9 and 10.
Deep Learning, section 10.11.2, equation 10.52.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.architectures.rnn import RNN
from training.cell import State
from training.errors import WrongUse


def check_omega(cell: object) -> RNN:
    """Give the cell if the regulariser is defined for it; raises WrongUse."""
    if not isinstance(cell, RNN):
        raise WrongUse(
            "training.omega is for a plain network whose one state is h = f(Ux + Wh + b): "
            "use it with elman, irnn or orthogonal, or leave it out"
        )
    return cell


def unrolled(cell: RNN, xs: Tensor, state: State) -> tuple[list[Tensor], State]:
    """Run a cell step by step and keep every h, `[batch, hidden]`, for gradients with respect to it."""
    hs = []
    for x in xs.unbind(1):
        h, state = cell.step(x, state)
        hs.append(h)
    return hs, state


def omega(cell: RNN, hs: Sequence[Tensor], loss: Tensor) -> Tensor:
    """Give the regulariser, its mean over rows and steps; the graph of `loss` is kept.

    Args:
        cell: the network.
        hs: its states, `[batch, hidden]` each, as `unrolled` gives them.
        loss: what was made of them.
    """
    after = torch.stack(torch.autograd.grad(loss, list(hs), retain_graph=True))[1:]
    return flow(cell.W, torch.stack(list(hs)).detach()[1:], after, _slope(cell))


def flow(weight: Tensor, h: Tensor, after: Tensor, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """Give the mean over rows and steps of how far each step's norm is from kept, squared.

    Args:
        weight: W, `[hidden, hidden]`.
        h: states from the second on, `[time - 1, batch, hidden]`.
        after: the loss's gradients with respect to them.
        slope: of the activation, from its value.
    """
    before = (after * slope(h)) @ weight
    norm = after.norm(dim=-1)
    # A step that no loss comes from says nothing of how it flows.
    reached = norm > torch.finfo(norm.dtype).tiny
    ratio = before.norm(dim=-1) / torch.where(reached, norm, 1.0)
    return torch.where(reached, (ratio - 1).square(), 0.0).mean()


def _slope(cell: RNN) -> Callable[[Tensor], Tensor]:
    if cell.activation == "tanh":
        return lambda h: 1 - h.square()
    return lambda h: (h > 0).to(h.dtype)
