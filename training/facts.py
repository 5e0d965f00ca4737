"""Supervision by supporting facts: hop k of a memory network is told which sentence it is to read, the k-th fact.

    missed = - sum over k of log softmax_i(s_k)_{f_k}          s_k, hop k's scores of the sentences; f_k, its fact

Hops past the facts are free. Weston, Chopra and Bordes, "Memory networks", 2014, section 3.1, have margins between
scores there, and a hard choice of a sentence; here they stay what they are, and only their softmax is told.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.architectures.attention import LOWEST
from training.architectures.memory_network import MemoryNetwork
from training.errors import WrongUse

IGNORED = -100


def check_facts(cell: object) -> MemoryNetwork:
    """Give the cell if its hops can be told facts; raises WrongUse."""
    if not isinstance(cell, MemoryNetwork):
        raise WrongUse(
            "training.facts is for a memory that is read in hops: use it with memory_network, or leave it out"
        )
    return cell


def missed(scores: Sequence[Tensor], facts: Tensor, lengths: Tensor) -> Tensor:
    """Give what hops leave of their facts at each row's last step, summed over hops, the mean over rows.

    Args:
        scores: of each hop, `[batch, time, slots + time]`, as `scored_scan` gives them.
        facts: steps, `[batch, facts]`, -1 for none; one that is forgotten is none either.
        lengths: of each row, `[batch]`.
    """
    rows = torch.arange(len(lengths), device=lengths.device)
    total = scores[0].new_zeros(())
    for every, fact in zip(scores, facts.unbind(1), strict=False):
        asked = every[rows, lengths - 1]
        place = every.shape[2] - every.shape[1] + fact
        told = (fact >= 0) & (asked[rows, place] > LOWEST)
        place = torch.where(told, place, IGNORED)
        total = total + functional.cross_entropy(asked, place, ignore_index=IGNORED, reduction="sum")
    return total / len(lengths)
