r"""How much of a state reaches a later one: the norm of ds_t/ds_{t-k}, a product of k Jacobians.

    ds_t/ds_{t-k} = J_{t-1} J_{t-2} ... J_{t-k},     J_t = ds_{t+1}/ds_t

Deep Learning, section 10.7, equations 10.36 to 10.39; Pascanu, Mikolov and Bengio, "On the difficulty of training
recurrent neural networks", 2013, equation 5. The norm is the spectral one, of a large state from products with vectors:
the power method on A^T A, whose value is at most the norm.
"""

import math

import msgspec
import numpy as np
import torch
from torch import Tensor

from training.diagnosis.band import Band, band
from training.diagnosis.spectrum import BOUND
from training.diagnosis.walk import Walk

ROUNDS, ROWS_OF_LARGE = 12, 8


class Flow(msgspec.Struct, frozen=True):
    """The norm for each distance k, over the sequences' last steps, and how it goes on.

    Attributes:
        distances: k.
        norms: of each.
        rate: what a further step multiplies the median by, on the whole: from the first distance to the last.
        whole: whether the norms are of the matrices, rather than from products with vectors.
    """

    distances: list[int]
    norms: list[Band]
    rate: float
    whole: bool

    @property
    def half_life(self) -> float:
        """Steps in which it halves, or where it grows doubles."""
        return math.inf if self.rate == 1 else 0.0 if self.rate == 0 else math.log(2) / abs(math.log(self.rate))

    @property
    def word(self) -> str:
        """What becomes of it: kept means that over all distances it would not have halved or doubled."""
        if self.half_life > self.distances[-1]:
            return "keeps"
        return "vanishes" if self.rate < 1 else "explodes"


def flow(walk: Walk, random: np.random.Generator) -> Flow:
    """Measure back from the last step of each sequence."""
    distances = distances_to(walk.reach)
    whole = walk.flat.size <= BOUND
    norms = [band(one) for one in (_whole(walk, distances) if whole else _by_products(walk, distances, random))]
    return Flow(distances, norms, _rate(distances, [one.median for one in norms]), whole)


def distances_to(furthest: int) -> list[int]:
    """Choose distances, each about a quarter further than the one before, and the furthest."""
    chosen = [1]
    while (further := max(chosen[-1] + 1, round(chosen[-1] * 1.25))) < furthest:
        chosen.append(further)
    return sorted({*chosen, furthest})


def _whole(walk: Walk, distances: list[int]) -> list[Tensor]:
    norms = []
    product = torch.eye(walk.flat.size, dtype=torch.float64).expand(walk.rows, -1, -1)
    going = torch.arange(walk.rows)
    for k in range(1, distances[-1] + 1):
        rows, at = walk.back(k)
        product = product[torch.isin(going, rows)] @ walk.flat.jacobian(at)
        going = rows
        if k in distances:
            norms.append(torch.linalg.matrix_norm(product, ord=2))
    return norms


def _by_products(walk: Walk, distances: list[int], random: np.random.Generator) -> list[Tensor]:
    return [norm_by_products(walk, k, random) for k in distances]


def norm_by_products(walk: Walk, k: int, random: np.random.Generator) -> Tensor:
    """Give the norm through the last k steps of a few sequences, `[rows]`."""
    rows, _ = walk.back(k, ROWS_OF_LARGE)
    places = [walk.at(rows, walk.lengths[rows] - back) for back in range(1, k + 1)]
    v = torch.from_numpy(random.standard_normal((len(rows), walk.flat.size)))
    norm = v.new_zeros(len(rows))
    for _ in range(ROUNDS):
        v = v / v.norm(dim=1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
        for at in reversed(places):
            v = walk.flat.forward(at, v)
        norm = v.norm(dim=1)
        for at in places:
            v = walk.flat.back(at, v)
    return norm


def _rate(distances: list[int], medians: list[float]) -> float:
    first, last, steps = medians[0], medians[-1], distances[-1] - distances[0]
    if not steps:
        return last
    return 0.0 if first == 0 or last == 0 else math.exp((math.log(last) - math.log(first)) / steps)
