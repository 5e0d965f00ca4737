"""Numbers, of each sequence at its end or of each step, and the next values of a series."""

import math
from typing import final

from torch import Tensor
from typing_extensions import override

from training.model import Units
from training.tasks.base import Task


@final
class Regress(Task):
    """Answers are in the targets' units; the loss is without them, the metric in them.

    Args:
        units: of the targets, where they are normalised.
    """

    unit = "squared error"
    metric = "mean_squared_error"

    def __init__(self, units: Units | None) -> None:
        self._units = units

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return _error(answers, targets, self._units).square().mean(-1)

    @override
    def measures(self, answers: Tensor, targets: Tensor) -> Tensor:
        return (answers - targets).square().mean(-1)


@final
class Forecast(Task):
    """The next value, each from the true ones before it; the metric is the error by the deviation of the series.

    Args:
        units: those of the series, where they are normalised.
        deviation: of the training series, `[features]`.
    """

    unit = "squared error"
    metric = "nrmse"

    def __init__(self, units: Units | None, deviation: Tensor) -> None:
        self._units = units
        self._deviation = deviation

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return _error(answers, targets, self._units).square().mean(-1)

    @override
    def measures(self, answers: Tensor, targets: Tensor) -> Tensor:
        return ((answers - targets) / self._deviation.to(answers.device)).square().mean(-1)

    @override
    def figure(self, mean: float) -> float:
        return math.sqrt(mean)


def _error(answers: Tensor, targets: Tensor, units: Units | None) -> Tensor:
    return answers - targets if units is None else (answers - targets) / units.deviation
