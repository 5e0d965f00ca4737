"""What one batch says of the parameters: the loss of a model's answers, and the state to go on with."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.architectures.output_recurrence import OutputRecurrence
from training.batches import Batch
from training.cell import Cell, State
from training.errors import WrongUse
from training.facts import check_facts, missed
from training.forcing import forced
from training.model import SequenceModel
from training.omega import check_omega, omega, unrolled
from training.recipe import TrainingSettings
from training.tasks.base import Task, asked, is_stepwise


class Learned(NamedTuple):
    """A batch's mean loss, what is to be made smaller (with what regularises it), and the state after it."""

    loss: Tensor
    objective: Tensor
    state: State


# Of the parameters, a batch and the state before it; `progress` says how much of the budget is done, 0 to 1.
Learn = Callable[[nn.Module, Batch, State, float], Learned]


def way_to_learn(settings: TrainingSettings, model: SequenceModel, task: Task, *, processes: int) -> Learn:
    """Choose how a recipe learns; raises WrongUse for a way that its cell, or more than one process, does not have."""
    is_forced = isinstance(model.cell, OutputRecurrence) and settings.forcing > 0
    if processes > 1 and (settings.omega or settings.facts or is_forced or task.as_wholes):
        raise WrongUse(
            "training.omega, facts and forcing and the task 'transcribe' are for one process: do not use torchrun"
        )
    if task.as_wholes:
        return lambda parallel, batch, state, _: _as_wholes(model, task, batch, state)
    if settings.omega:
        check_omega(model.cell)
        return lambda parallel, batch, state, _: _keeping_flow(settings, model, task, batch, state)
    if settings.facts_loss != "softmax" and not settings.facts:
        raise WrongUse("training.facts_loss says how facts are told, and training.facts = 0 tells none: set both")
    if settings.facts:
        check_facts(model.cell)
        return lambda parallel, batch, state, _: _by_facts(settings, model, task, batch, state)
    if is_forced:
        if model.readout is not None:
            raise WrongUse("an output recurrence that is forced has no readout of its own: set model.readout=false")
        return lambda parallel, batch, state, progress: _forced(settings, model, task, batch, state, progress)
    return lambda parallel, batch, state, _: _plain(parallel, model.cell, task, batch, state)


def _plain(parallel: nn.Module, cell: Cell, task: Task, batch: Batch, state: State) -> Learned:
    """Without lengths where no step sees what comes after it, and any number may follow: that is not asked for."""
    reads_on = cell.causal and not cell.symbols
    answers, state = parallel(batch.x, state, None if reads_on else batch.lengths)
    loss = _loss(task, answers, batch, late=cell.delay if batch.begins else 0)
    return Learned(loss, loss, state)


def _loss(task: Task, answers: Tensor, batch: Batch, *, late: int = 0) -> Tensor:
    return task.losses(*asked(answers, batch, unscored=late)).mean()


def _as_wholes(model: SequenceModel, task: Task, batch: Batch, state: State) -> Learned:
    losses, count = task.whole_losses(model, batch)
    loss = losses.sum() / max(1, count)
    return Learned(loss, loss, state)


def _keeping_flow(settings: TrainingSettings, model: SequenceModel, task: Task, batch: Batch, state: State) -> Learned:
    cell = check_omega(model.cell)
    hs, state = unrolled(cell, model.embedding(batch.x), state)
    loss = _loss(task, model.answer(torch.stack(hs, 1)), batch)
    return Learned(loss, loss + settings.omega * omega(cell, hs, loss), state)


def _by_facts(settings: TrainingSettings, model: SequenceModel, task: Task, batch: Batch, state: State) -> Learned:
    if batch.facts is None:
        raise WrongUse("training.facts needs data that names the facts of each answer, such as babi: leave it out")
    cell = check_facts(model.cell)
    ys, state, scores = cell.scored_scan(model.embedding(batch.x), state, batch.lengths)
    loss = _loss(task, model.answer(ys), batch)
    left = missed(scores, batch.facts, batch.lengths, loss=settings.facts_loss)
    return Learned(loss, loss + settings.facts * left, state)


def _forced(
    settings: TrainingSettings, model: SequenceModel, task: Task, batch: Batch, state: State, progress: float
) -> Learned:
    cell = model.cell
    assert isinstance(cell, OutputRecurrence)
    if not is_stepwise(batch) or not batch.targets.is_floating_point() or batch.targets.isnan().any():
        raise WrongUse("teacher forcing needs a target of numbers for each step")
    truth = batch.targets if model.units is None else model.units.leave(batch.targets)
    share = settings.forcing + (settings.forcing_end - settings.forcing) * progress
    ys, state = forced(cell, model.embedding(batch.x), truth, state, share)
    loss = _loss(task, model.answer(ys), batch)
    return Learned(loss, loss, state)
