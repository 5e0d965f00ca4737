"""A class, of each sequence at its end or of each step."""

from typing import final

from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training.tasks.base import Task


@final
class Classify(Task):
    """Answers are logits of all classes; the metric is the share that is right."""

    unit = "nats"
    metric = "accuracy"
    better = "higher"

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(answers, targets, reduction="none")

    @override
    def measures(self, answers: Tensor, targets: Tensor) -> Tensor:
        return (answers.argmax(-1) == targets).float()


@final
class Recall(Task):
    """The same answers, of a task in which most steps ask for nothing: the metric is the cross entropy."""

    unit = "nats"
    metric = "cross_entropy"

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(answers, targets, reduction="none")
