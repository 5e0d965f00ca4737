"""The next symbol of a sequence that a unit of its own ends: the second way of Deep Learning, section 10.2.3."""

from typing import final

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training.tasks.base import Task
from training.tasks.next_symbol import BITS


@final
class StopUnit(Task):
    """Before each symbol a Bernoulli unit says whether there is one; its logit is the last of the answers.

    The other answers are the symbols' logits; a target of the last index means that the sequence ends there.
    """

    unit = "bits/char"
    metric = "bits_per_character"

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        symbols, stop = answers[:, :-1], answers[:, -1]
        ends = targets == symbols.shape[1]
        ending = functional.binary_cross_entropy_with_logits(stop, ends.to(stop.dtype), reduction="none")
        symbol = functional.cross_entropy(symbols, torch.where(ends, 0, targets), reduction="none")
        return (ending + torch.where(ends, 0.0, symbol)) * BITS
