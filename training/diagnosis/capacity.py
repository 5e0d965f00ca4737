r"""Memory capacity: how much of random inputs a linear readout finds in the state, each delay on its own.

    MC = sum over k of MC_k,     MC_k = corr(u_{t-k}, w_k . s_t + b_k)^2

with u drawn anew at each step. Of a linear reservoir it is at most the state's size. Jaeger, "Short term memory in
echo state networks", 2001. Inputs of several numbers are turned to uncorrelated ones of equal size, whose capacities
add up under the same bound; a correlation that chance gives counts as none, both as in Dambre et al., "Information
processing capacity of dynamical systems", 2012.
"""

import msgspec
import numpy as np
import torch
from torch import Tensor

from training.diagnosis.walk import Walk
from training.ridge import Ridge

ROWS, DELAYS, STEPS = 32, 100, 200
PENALTY = 1e-7
# A chi-squared of one degree of freedom is above this once in ten thousand times.
CHANCE = 15.1
# A direction of the inputs with less of the variance than this has no signal.
FLAT = 1e-9


class Capacity(msgspec.Struct, frozen=True):
    """The capacity, of each delay from 0 on and of all; `most` is its bound for so many inputs, delays and states."""

    total: float
    of_delay: list[float]
    most: int


@torch.no_grad()
def capacity(walk: Walk, random: np.random.Generator) -> Capacity | None:
    """Drive the cell by the data's values, drawn anew for each step and feature; None where its state grows away."""
    drawn = _draw(walk.batch.x[walk.valid()], DELAYS + STEPS, random)
    inputs: Tensor = walk.model.embedding(drawn.double() if drawn.is_floating_point() else drawn)
    states = _driven(walk, inputs)
    if not states.isfinite().all():
        return None
    wanted = _whitened(inputs)
    targets = torch.stack([wanted[:, DELAYS - k : DELAYS - k + STEPS] for k in range(DELAYS)], 2)
    explained = _explained(states, targets.flatten(2)).reshape(DELAYS, -1).sum(1)
    most = min(walk.flat.size, DELAYS * wanted.shape[-1])
    return Capacity(float(explained.sum()), explained.tolist(), most)


def _draw(pool: Tensor, time: int, random: np.random.Generator) -> Tensor:
    """Draw inputs `[rows, time, …]` from steps `[steps, …]`, each feature on its own."""
    features = pool.reshape(len(pool), -1)
    at = torch.from_numpy(random.integers(len(pool), size=(ROWS * time, features.shape[1])))
    return features.gather(0, at).reshape(ROWS, time, *pool.shape[1:])


def _driven(walk: Walk, inputs: Tensor) -> Tensor:
    """Give the states after each step from `DELAYS` on, `[rows, steps, size]`."""
    rows = torch.arange(ROWS) % walk.rows
    state = {name: tensor[rows] for name, tensor in walk.begin.items()}
    states = []
    for t, x in enumerate(inputs.unbind(1)):
        state = walk.model.cell.step(x, state)[1]
        if t >= DELAYS:
            states.append(walk.flat.join(state))
    return torch.stack(states, 1)


def _whitened(inputs: Tensor) -> Tensor:
    """Give inputs as uncorrelated numbers of variance 1, `[rows, time, directions]`."""
    centred = inputs - inputs.mean((0, 1))
    variances, directions = torch.linalg.eigh(torch.cov(centred.flatten(0, 1).T).reshape(2 * (centred.shape[-1],)))
    there = variances > FLAT * variances.max()
    whitened: Tensor = centred @ (directions[:, there] / variances[there].sqrt())
    return whitened


def _explained(states: Tensor, targets: Tensor) -> Tensor:
    """Give the squared correlation of each target with its readout, `[targets]`, on rows it was not fitted to."""
    half = ROWS // 2
    every = states.flatten(0, 1)
    states = (states - every.mean(0)) / every.std(0).clamp_min(FLAT)
    fitted, held_out = states[:half].flatten(0, 1), states[half:].flatten(0, 1)
    ridge = Ridge(states.shape[-1], targets.shape[-1], penalty=PENALTY * len(fitted))
    ridge.add(fitted, targets[:half].flatten(0, 1))
    weight, _ = ridge.solve()
    answers, wanted = (one - one.mean(0) for one in (held_out @ weight.double().T, targets[half:].flatten(0, 1)))
    spread = answers.square().sum(0) * wanted.square().sum(0)
    squared = torch.where(spread > 0, (answers * wanted).sum(0).square() / spread.clamp_min(1e-300), 0.0)
    return torch.where(squared > CHANCE / len(wanted), squared, 0.0)
