"""Real sequences, and the states of a model along them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from training.batches import Batch, collate
from training.cell import Source, State
from training.data.series import Series
from training.diagnosis.flat import Flat, Place
from training.errors import WrongUse
from training.model import SequenceModel

# Fewer steps have no past worth the name.
SHORTEST = 2


@final
class Walk:
    """A model over some sequences, each from its beginning to the last step that asks for something.

    Args:
        model: in float64, dropout off.
        batch: the sequences.
    """

    @torch.no_grad()
    def __init__(self, model: SequenceModel, batch: Batch) -> None:
        self.model, self.batch = model, batch
        raw = batch.x.double() if batch.x.is_floating_point() else batch.x
        self.xs: Tensor = model.embedding(raw)
        state = model.begin(len(raw), _double(batch.context))
        self.flat = Flat(model.cell, state)
        states = [state]
        for x in self.xs.unbind(1):
            states.append(model.cell.step(x, states[-1])[1])
        self._states = {name: torch.stack([one[name] for one in states]) for name in state}

    @property
    def rows(self) -> int:
        """How many sequences there are."""
        return len(self.xs)

    @property
    def lengths(self) -> Tensor:
        """The steps of each, `[rows]`."""
        return self.batch.lengths

    @property
    def reach(self) -> int:
        """How far half of the sequences or more go back from their last step."""
        return int(self.lengths.median())

    def is_finite(self) -> bool:
        """Whether all states are numbers."""
        return all(bool(one.isfinite().all()) for one in self._states.values())

    @property
    def begin(self) -> State:
        """The states before the first steps."""
        return {name: tensor[0] for name, tensor in self._states.items()}

    def at(self, rows: Tensor, t: Tensor) -> Place:
        """Give step `t` of each of some rows, `[places]` both."""
        state = {name: tensor[t, rows] for name, tensor in self._states.items()}
        return Place(self.xs[rows, t], self.flat.join(state), self.flat.held(state))

    def back(self, k: int, most: int | None = None) -> tuple[Tensor, Place]:
        """Give the k-th step from the end, the last one being the first, and the rows that have so many."""
        rows = (self.lengths[:most] >= k).nonzero()[:, 0]
        return rows, self.at(rows, self.lengths[rows] - k)

    def places(self, count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw steps of any sequence, at most so many: rows and times, `[places]` both."""
        rows, t = self.valid().nonzero(as_tuple=True)
        chosen = torch.from_numpy(random.permutation(len(rows))[:count])
        return rows[chosen], t[chosen]

    def valid(self) -> Tensor:
        """Say which steps are no padding, `[rows, time]`."""
        return torch.arange(self.xs.shape[1]) < self.lengths[:, None]


def draw_walk(model: SequenceModel, part: Sequence[Series], *, sequences: int, steps: int, seed: int) -> Walk:
    """Draw sequences of a part, none longer than so many steps; raises WrongUse where there is none to go along.

    A longer one with a target for each step is cut, each piece being read from the initial state; of one that is
    asked at its end the last steps are read.
    """
    pieces = [piece for one in part for piece in _pieces(one, steps) if len(piece.inputs) >= SHORTEST]
    if not pieces:
        raise WrongUse(f"the validation part has no sequence of {SHORTEST} steps to go back along")
    chosen = np.random.default_rng(seed).permutation(len(pieces))[:sequences]
    return Walk(model, collate([pieces[one] for one in chosen]))


def _pieces(series: Series, steps: int) -> list[Series]:
    if not series.is_stepwise:
        return [replace(series, inputs=series.inputs[-steps:])]
    pieces = []
    for first in range(0, len(series.inputs), steps):
        targets = series.targets[first : first + steps]
        asked = (targets >= 0) if targets.ndim == 1 else ~np.isnan(targets).any(-1)
        end = int(np.flatnonzero(asked).max(initial=-1)) + 1
        pieces.append(replace(series, inputs=series.inputs[first : first + end], targets=targets[:end]))
    return pieces


def _double(context: Tensor | Source | None) -> Tensor | Source | None:
    return context.double() if isinstance(context, Tensor) else context
