"""A class, of each sequence at its end or of each step."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training.batches import collate
from training.data.series import Series
from training.model import SequenceModel
from training.tasks.base import Task

ROWS = 64


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
class ClassifyTree(Task):
    """The same, where some nodes of a tree may not be asked; the metric is the share of trees whose root is right."""

    unit = "nats"
    metric = "root_accuracy"
    better = "higher"
    partial = True

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(answers, targets, reduction="none")

    @override
    @torch.no_grad()
    def freely(self, model: SequenceModel, series: Sequence[Series]) -> float:
        ordered = sorted(series, key=lambda one: len(one.inputs))
        right = 0
        for first in range(0, len(ordered), ROWS):
            batch = collate(ordered[first : first + ROWS])
            device = next(model.parameters()).device
            answers, _ = model(batch.x.to(device), model.begin(len(batch.x)), batch.lengths.to(device))
            last = (batch.lengths - 1)[:, None]
            root = answers.argmax(-1).cpu().gather(1, last)
            right += int((root == batch.targets.gather(1, last)).sum())
        return right / len(ordered)


@final
class Recall(Task):
    """The same answers, of a task in which most steps ask for nothing: the metric is the cross entropy."""

    unit = "nats"
    metric = "cross_entropy"

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(answers, targets, reduction="none")
