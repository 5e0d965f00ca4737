"""The table of tasks: a name in a recipe, what scores it, and what data it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from training.data.data import Data
from training.data.text import UNKNOWN
from training.errors import WrongUse
from training.model import SequenceModel
from training.tasks.base import Task
from training.tasks.classify import Classify, ClassifyTree, Recall
from training.tasks.next_frame import NextFrame
from training.tasks.next_symbol import NextSymbol
from training.tasks.recall_bits import RecallBits
from training.tasks.regress import Forecast, Regress
from training.tasks.rewrite import Rewrite, Translate
from training.tasks.stop_unit import StopUnit
from training.tasks.transcribe import Transcribe


@dataclass(frozen=True, slots=True)
class TaskKind:
    """A line of the table.

    Attributes:
        build: makes the task for a model and its data.
        task: what is built.
        classes: whether targets are classes or symbols, rather than numbers.
        stepwise: whether each step has a target; None where either will do.
        writes: whether an answer is the symbol to be read next, so that a server may feed it back.
        foretells: whether the targets are inputs to come, which nobody may have read.
    """

    build: Callable[[SequenceModel, Data], Task]
    task: type[Task]
    classes: bool
    stepwise: bool | None
    foretells: bool = False
    writes: bool = False

    @property
    def metric(self) -> str:
        """What is told in the end."""
        return self.task.metric

    @property
    def better(self) -> Literal["lower", "higher"]:
        """Whether a higher or a lower figure is."""
        return self.task.better

    @property
    def writes_freely(self) -> bool:
        """Whether the metric is of what a model puts out by itself, which validations do not measure."""
        return self.task.freely is not Task.freely


def _forecast(model: SequenceModel, data: Data) -> Task:
    return Forecast(model.units, torch.from_numpy(data.target_units()[1]))


def _rewrite(_: SequenceModel, data: Data) -> Task:
    return Rewrite(_edge_of(data))


def _translate(_: SequenceModel, data: Data) -> Task:
    unknown = data.vocabulary.index(UNKNOWN) if UNKNOWN in data.vocabulary else None
    return Translate(_edge_of(data), unknown)


def _edge_of(data: Data) -> int:
    if data.edge is None or data.ends != "symbol":
        raise WrongUse("tasks that write need data whose sequences end with a symbol of their own")
    return data.edge


TASKS: Mapping[str, TaskKind] = {
    "classify": TaskKind(lambda _, __: Classify(), Classify, classes=True, stepwise=None),
    "classify_tree": TaskKind(lambda _, __: ClassifyTree(), ClassifyTree, classes=True, stepwise=True),
    "forecast": TaskKind(_forecast, Forecast, classes=False, stepwise=True, foretells=True),
    "next_frame": TaskKind(lambda _, __: NextFrame(), NextFrame, classes=False, stepwise=True, foretells=True),
    "next_symbol": TaskKind(
        lambda _, __: NextSymbol(), NextSymbol, classes=True, stepwise=True, foretells=True, writes=True
    ),
    "recall": TaskKind(lambda _, __: Recall(), Recall, classes=True, stepwise=True),
    "recall_bits": TaskKind(lambda _, __: RecallBits(), RecallBits, classes=False, stepwise=True),
    "rewrite": TaskKind(_rewrite, Rewrite, classes=True, stepwise=True, foretells=True, writes=True),
    "stop_unit": TaskKind(lambda _, __: StopUnit(), StopUnit, classes=True, stepwise=True, foretells=True, writes=True),
    "transcribe": TaskKind(lambda model, _: Transcribe(model), Transcribe, classes=True, stepwise=True),
    "translate": TaskKind(_translate, Translate, classes=True, stepwise=True, foretells=True, writes=True),
    "regress": TaskKind(lambda model, _: Regress(model.units), Regress, classes=False, stepwise=None),
}


def open_task(name: str, model: SequenceModel, data: Data) -> Task:
    """Give the task of a recipe; raises WrongUse where the data is not what it needs."""
    kind, series = TASKS[name], data.parts.train[0]
    if bool(data.classes) != kind.classes:
        wanted, came = ("classes", "numbers") if kind.classes else ("numbers", "classes")
        raise WrongUse(f"task '{name}' needs targets that are {wanted}, and this data's are {came}")
    if kind.stepwise and not series.is_stepwise:
        raise WrongUse(f"task '{name}' needs a target for each step, and this data has one for each sequence")
    if kind.foretells and not model.cell.causal:
        raise WrongUse(f"task '{name}' asks what comes next, which this architecture has read: use a causal one")
    if kind.foretells and model.cell.delay:
        raise WrongUse(f"task '{name}' asks what comes next, which an architecture that looks ahead has read")
    if series.is_stepwise and series.asked < len(series.inputs) and not kind.task.partial:
        raise WrongUse(f"task '{name}' needs a target at every step, and this data has none at some: take recall_bits")
    return kind.build(model, data)
