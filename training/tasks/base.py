"""What a model is asked to do: how wrong an answer is, and what is told of a model in the end."""

import abc
from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor

from training.batches import Batch
from training.data.series import Series
from training.model import SequenceModel


class Task(abc.ABC):
    """Scores answers, one a step or one a sequence, whichever the targets are.

    Attributes:
        unit: of the loss, as people read it.
        metric: what is told of a model in the end.
        better: whether a higher or a lower figure is.
        per: what the metric is a mean over, all answers or all sequences.
        partial: whether it asks at some steps only.
        logits: whether answers are logits, which have no units.
        as_wholes: whether a sequence's targets have one loss together, and none by themselves.
    """

    unit: ClassVar[str]
    metric: ClassVar[str]
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    per: ClassVar[Literal["answer", "sequence"]] = "answer"
    partial: ClassVar[bool] = False
    logits: ClassVar[bool] = False
    as_wholes: ClassVar[bool] = False

    @abc.abstractmethod
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Give the loss of each answer, `[n]`, of answers `[n, outputs]` and targets `[n, …]`."""

    def measures(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Give what the metric is the mean of, `[n]`; the loss, unless a task says otherwise."""
        return self.losses(answers, targets)

    def whole_losses(self, model: SequenceModel, batch: Batch) -> tuple[Tensor, int]:
        """Give the loss of each row of a batch, `[batch]`, and how many targets they have in all."""
        raise NotImplementedError

    def freely(self, model: SequenceModel, series: Sequence[Series]) -> float | None:
        """Give the metric of what a model writes by itself; None where it is told step by step."""
        return None

    def figure(self, mean: float) -> float:
        """Give the metric from the mean of the measures."""
        return mean


def asked(answers: Tensor, batch: Batch, *, unscored: int = 0) -> tuple[Tensor, Tensor]:
    """Choose the answers that count, `[n, outputs]`, and their targets: of asked steps, or of each row's last one.

    The last is found by the row's length: what the padded end says is nobody's answer.
    """
    if is_stepwise(batch):
        valid = batch.valid()
        valid[:, :unscored] = False
        return answers[valid], batch.targets[valid]
    last = (batch.lengths - 1).view(-1, 1, 1).expand(-1, 1, answers.shape[-1])
    return answers.gather(1, last)[:, 0], batch.targets


def is_stepwise(batch: Batch) -> bool:
    """Whether a batch has targets for each step."""
    targets = batch.targets
    return targets.dim() == (3 if targets.is_floating_point() else 2)
