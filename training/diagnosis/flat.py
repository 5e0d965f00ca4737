"""A cell's step as a function of one vector: all of its state that moves by numbers, side by side."""

import warnings
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.func import jacrev, jvp, vjp, vmap

from training.cell import Cell, State
from training.errors import WrongUse


class Place(NamedTuple):
    """Steps of some rows: their inputs `[rows, …]`, the vectors before them `[rows, size]`, and the states held."""

    x: Tensor
    s: Tensor
    held: State


@final
class Flat:
    """What counts, is whole numbers or never changes is held: nothing goes back through it.

    Args:
        cell: reads numbers step by step.
        like: a state of it.

    Raises:
        WrongUse: the cell has no such state.
    """

    def __init__(self, cell: Cell, like: State) -> None:
        if not cell.causal:
            raise WrongUse("it reads a sequence as a whole: there is no state that goes from step to step to diagnose")
        if cell.symbols:
            raise WrongUse("it reads symbols as a story, a tree or places: its state is no vector that steps move")
        self._cell = cell
        fixed = cell.constant | cell.counts
        self.moving = [name for name, tensor in like.items() if tensor.is_floating_point() and name not in fixed]
        self._shapes = [like[name].shape[1:] for name in self.moving]
        self._sizes = [shape.numel() for shape in self._shapes]
        self.size = sum(self._sizes)

    def join(self, state: State) -> Tensor:
        """Give the vectors of states, `[rows, size]`."""
        return torch.cat([state[name].flatten(1) for name in self.moving], 1)

    def held(self, state: State) -> State:
        """Give what is no part of the vectors."""
        return {name: tensor for name, tensor in state.items() if name not in self.moving}

    def state(self, s: Tensor, held: State) -> State:
        """Give the states of vectors."""
        parts = zip(self.moving, torch.split(s, self._sizes, 1), self._shapes, strict=True)
        return held | {name: part.reshape(-1, *shape) for name, part, shape in parts}

    def step(self, x: Tensor, s: Tensor, held: State) -> Tensor:
        """Give the vectors after a step, `[rows, size]`."""
        return self.join(self._cell.step(x, self.state(s, held))[1])

    def jacobian(self, at: Place) -> Tensor:
        """Give ds_{t+1}/ds_t of each row, `[rows, size, size]`."""

        def alone(s: Tensor, x: Tensor, held: State) -> Tensor:
            return self.step(x[None], s[None], {name: one[None] for name, one in held.items()})[0]

        found: Tensor = vmap(jacrev(alone))(at.s, at.x, at.held)
        return found

    def forward(self, at: Place, v: Tensor) -> Tensor:
        """Give ds_{t+1}/ds_t v of each row, `[rows, size]`, without the matrix."""
        with warnings.catch_warnings():
            # torch's forward mode scripts its decompositions once, with a function whose successor torch names itself.
            warnings.filterwarnings("ignore", message="`torch.jit.script` is")
            moved: Tensor = jvp(lambda s: self.step(at.x, s, at.held), (at.s,), (v,))[1]
        return moved

    def back(self, at: Place, u: Tensor) -> Tensor:
        """Give u ds_{t+1}/ds_t of each row, `[rows, size]`, without the matrix."""
        pull = vjp(lambda s: self.step(at.x, s, at.held), at.s)[1]
        pulled: Tensor = pull(u)[0]
        return pulled
