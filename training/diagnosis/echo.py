r"""The echo-state test: two states that began apart, under one input; whether the input makes them one.

    d_t = |s_t - s'_t| / |s_0 - s'_0|

Jaeger, "The 'echo state' approach to analysing and training recurrent neural networks", 2001, definition 1: the state
of a network that has the property is an echo of its inputs, whatever it began with. Deep Learning, section 10.8.
"""

import msgspec
import numpy as np
import torch
from torch import Tensor

from training.cell import State
from training.diagnosis.band import Band, band
from training.diagnosis.walk import Walk

STEPS = 300
# What is left of a distance that is taken to be gone.
GONE = 1e-3


class Echo(msgspec.Struct, frozen=True):
    """The distance before each step and after the last, by the first, over pairs of states.

    Attributes:
        distances: of each step.
        gone_after: the first step from which on no more than a thousandth is left; None where it is never.
    """

    distances: list[Band]
    gone_after: int | None

    @property
    def converges(self) -> bool:
        """Whether the input makes them one."""
        return self.gone_after is not None


@torch.no_grad()
def echo(walk: Walk, random: np.random.Generator, steps: int = STEPS) -> Echo:
    """Measure under inputs of the sequences, read one after the other, from another place for each pair."""
    inputs = walk.xs[walk.valid()]
    first = torch.from_numpy(random.integers(len(inputs), size=walk.rows))
    one, other = some_states(walk, random), some_states(walk, random)
    distances = [_distance(walk, one, other)]
    for t in range(steps):
        x = inputs[(first + t) % len(inputs)]
        one, other = (walk.model.cell.step(x, state)[1] for state in (one, other))
        distances.append(_distance(walk, one, other))
    bands = [band((one / distances[0]).nan_to_num(torch.inf)) for one in distances]
    over = [t for t, one in enumerate(bands) if one.median > GONE]
    return Echo(bands, over[-1] + 1 if over[-1] < steps else None)


def some_states(walk: Walk, random: np.random.Generator) -> State:
    """Draw states to begin with: normal numbers around the first ones, or where not all may be, states of any step."""
    flat, begin = walk.flat, walk.begin
    if walk.model.cell.takes_any_state:
        s = flat.join(begin)
        return flat.state(s + torch.from_numpy(random.standard_normal(s.shape)), flat.held(begin))
    rows, t = walk.places(walk.rows, random)
    return flat.state(walk.at(rows, t).s, flat.held(begin))


def _distance(walk: Walk, one: State, other: State) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(walk.flat.join(one) - walk.flat.join(other), dim=1)
    return distance
