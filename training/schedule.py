"""The table of learning-rate schedules: a name in a recipe, and the share of the first rate that an update has."""

import math
from collections.abc import Callable, Mapping

from training.checkpoint import Progress
from training.recipe import TrainingSettings


def _constant(_: TrainingSettings, __: Progress) -> float:
    return 1.0


def _linear(settings: TrainingSettings, progress: Progress) -> float:
    return 1 - progress.update / settings.updates


def _cosine(settings: TrainingSettings, progress: Progress) -> float:
    return (1 + math.cos(math.pi * progress.update / settings.updates)) / 2


def _plateau(settings: TrainingSettings, progress: Progress) -> float:
    """Half as much for every `halve_after` validations in a row that gained nothing."""
    halvings = run = 0
    best = math.inf
    for _, _, validation in progress.history:
        run = 0 if validation < best else run + 1
        best = min(best, validation)
        if run == settings.halve_after:
            halvings, run = halvings + 1, 0
    return 0.5**halvings


SCHEDULES: Mapping[str, Callable[[TrainingSettings, Progress], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "plateau": _plateau,
}


def learning_rate(settings: TrainingSettings, progress: Progress) -> float:
    """Give the rate of the next update."""
    return settings.learning_rate * SCHEDULES[settings.schedule](settings, progress)
