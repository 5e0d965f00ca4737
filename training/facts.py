"""Supervision by supporting facts: hop k of a memory network is told which sentence it is to read, the k-th fact.

    softmax   - sum over k of log softmax_i(s_k)_{f_k}         s_k, hop k's scores of the sentences; f_k, its fact
    margin    sum over k, and i other than f_k, of max(0, 0.1 - s_{k, f_k} + s_{k, i})

Hops past the facts are free. The margins are those of Weston, Chopra and Bordes, "Memory networks", 2014, equations 6
and 7, over all other sentences, of which the paper draws one; not those of equation 8, which are of answers. There a
hop chooses one sentence; here it reads by softmax, whichever loss tells it what.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.architectures.attention import LOWEST
from training.architectures.memory_network import MemoryNetwork
from training.errors import WrongUse

FactsLoss = Literal["softmax", "margin"]

MARGIN = 0.1


def check_facts(cell: object) -> MemoryNetwork:
    """Give the cell if its hops can be told facts; raises WrongUse."""
    if not isinstance(cell, MemoryNetwork):
        raise WrongUse(
            "training.facts is for a memory that is read in hops: use it with memory_network, or leave it out"
        )
    return cell


def missed(scores: Sequence[Tensor], facts: Tensor, lengths: Tensor, *, loss: FactsLoss = "softmax") -> Tensor:
    """Give what hops leave of their facts at each row's last step, summed over hops, the mean over rows.

    Args:
        scores: of each hop, `[batch, time, slots + time]`, as `scored_scan` gives them.
        facts: steps, `[batch, facts]`, -1 for none; one that is forgotten is none either.
        lengths: of each row, `[batch]`.
        loss: how it is measured.
    """
    rows = torch.arange(len(lengths), device=lengths.device)
    total = scores[0].new_zeros(())
    for every, fact in zip(scores, facts.unbind(1), strict=False):
        asked = every[rows, lengths - 1]
        place = every.shape[2] - every.shape[1] + fact
        told = (fact >= 0) & (asked[rows, place] > LOWEST)
        total = total + LOSSES[loss](asked[told], place[told])
    return total / len(lengths)


def _by_softmax(asked: Tensor, place: Tensor) -> Tensor:
    return functional.cross_entropy(asked, place, reduction="sum")


def _by_margin(asked: Tensor, place: Tensor) -> Tensor:
    """Sum over the other sentences; those that are not there are far below every margin.

    Written out, since torch's multi_margin_loss of no rows is whatever was in memory.
    """
    short = (MARGIN - asked.gather(1, place[:, None]) + asked).relu()
    return short.scatter(1, place[:, None], 0.0).sum()


# Of scores `[rows, sentences]` and the place of each row's fact, summed over rows.
LOSSES: Mapping[FactsLoss, Callable[[Tensor, Tensor], Tensor]] = {"softmax": _by_softmax, "margin": _by_margin}
