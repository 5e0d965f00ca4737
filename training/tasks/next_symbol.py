"""The next symbol of a text: mean bits per symbol."""

import math
from typing import final

from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training.tasks.base import Task

BITS = 1 / math.log(2)


@final
class NextSymbol(Task):
    """Answers are logits of all symbols; what the metric counts is a character's bits."""

    unit = "bits/char"
    metric = "bits_per_character"

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(answers, targets, reduction="none") * BITS
