"""Fits the readout of a reservoir in closed form, over the series once, stretch by stretch."""

import time

import torch

from training.checkpoint import Progress
from training.data.data import Data
from training.errors import WrongUse
from training.evaluate import STRETCH, evaluate
from training.model import SequenceModel
from training.recipe import TrainingSettings
from training.ridge import Ridge
from training.tasks.base import Task


@torch.no_grad()
def fit_readout(settings: TrainingSettings, model: SequenceModel, task: Task, data: Data) -> Progress:
    """Fit the readout to the training part, after each series' washout.

    Raises:
        WrongUse: more than the readout is to be learnt, or the targets are no numbers for each step.
        Diverged: there is no finite solution, or no step to fit to.
    """
    readout = _checked(model, data)
    began = time.monotonic()
    model.eval()
    ridge = Ridge(readout.in_features, readout.out_features, penalty=settings.penalty)
    for series in data.parts.train:
        state = model.cell.init_state(1)
        for first in range(0, len(series.inputs), STRETCH):
            x, targets = (torch.from_numpy(a[first : first + STRETCH]) for a in (series.inputs, series.targets))
            ys, state = model.cell.scan(model.embedding(x[None]), state)
            skipped = max(0, settings.washout - first)
            wanted = targets if model.units is None else model.units.leave(targets)
            ridge.add(ys[0, skipped:], wanted[skipped:])
    weight, bias = ridge.solve()
    readout.weight.copy_(weight)
    readout.bias.copy_(bias)
    seconds = time.monotonic() - began
    train, validation = (
        evaluate(model, task, part, unscored=settings.washout) for part in (data.parts.train, data.parts.validation)
    )
    return Progress(
        update=1,
        best=validation.loss,
        history=[(1, train.loss, validation.loss)],
        clips=[0.0],
        figures=[validation.figure],
        seconds=seconds,
    )


def _checked(model: SequenceModel, data: Data) -> torch.nn.Linear:
    if model.readout is None or len(list(model.parameters())) > len(list(model.readout.parameters())):
        raise WrongUse(
            "training.solver=ridge fits a readout alone, and this model has more to learn: use it with echo_state, "
            "without model.embedding_size"
        )
    if not model.cell.causal or model.cell.delay:
        raise WrongUse("training.solver=ridge reads a series once, from its beginning: use it with a causal cell")
    first = data.parts.train[0]
    if data.classes or data.symbols or not first.is_stepwise or first.asked < len(first.inputs):
        raise WrongUse("training.solver=ridge needs numbers in, and a target of numbers for each step")
    return model.readout
