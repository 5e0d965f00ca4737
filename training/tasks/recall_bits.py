"""Bits that are given back where they are asked for: how many of a sequence's are wrong.

Graves, Wayne and Danihelka, "Neural Turing machines", 2014, section 4.
"""

from typing import final

from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training.tasks.base import Task


@final
class RecallBits(Task):
    """Answers are a logit for each bit; the loss is that of a step's bits, the metric counts a sequence's errors."""

    unit = "nats/step"
    metric = "wrong_bits_per_sequence"
    per = "sequence"
    partial = True
    logits = True

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(answers, targets, reduction="none").sum(-1)

    @override
    def measures(self, answers: Tensor, targets: Tensor) -> Tensor:
        return ((answers > 0) != (targets > 0)).sum(-1).to(answers.dtype)
