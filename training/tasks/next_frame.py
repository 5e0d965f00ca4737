"""The next frame of polyphonic music: each key sounds or not, independently given what was heard.

Boulanger-Lewandowski, Bengio and Vincent, "Modeling temporal dependencies in high-dimensional sequences", ICML 2012.
"""

from typing import final

from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training.tasks.base import Task


@final
class NextFrame(Task):
    """Answers are a logit for each key; the loss is a frame's negative log-likelihood, the mean is over frames."""

    unit = "nats/frame"
    metric = "nll_per_frame"
    logits = True

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(answers, targets, reduction="none").sum(-1)
