"""Scores a model on sequences, however long, a stretch at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.batches import Batch, collate
from training.cell import State
from training.data.series import Series
from training.errors import DataInvalid
from training.model import SequenceModel
from training.tasks.base import Task, asked

ROWS, STRETCH = 64, 1000

# From inputs, a state and, where rows are read whole, their lengths, to answers and the next state.
Predictor = Callable[[Tensor, State, Tensor | None], tuple[Tensor, State]]


class Score(NamedTuple):
    """The mean loss, and the task's metric."""

    loss: float
    figure: float


@torch.no_grad()
def evaluate(model: SequenceModel, task: Task, series: Sequence[Series], *, unscored: int = 0) -> Score:
    """Score a model, dropout off, each sequence from the initial state, whose first steps may be read alone."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    if task.as_wholes:
        found = _score_wholes(model, task, series)
        model.train(training)
        return found

    def predict(x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        answers: tuple[Tensor, State] = model(x.to(device), state, None if lengths is None else lengths.to(device))
        return answers

    found = score(
        predict,
        lambda batch: _begin(model, batch),
        task,
        series,
        unscored=unscored + model.cell.delay,
        whole=not model.cell.causal,
    )
    model.train(training)
    return found


def score(
    predict: Predictor,
    begin: Callable[[Batch], State],
    task: Task,
    series: Sequence[Series],
    *,
    unscored: int = 0,
    whole: bool = False,
) -> Score:
    """Score whatever predicts.

    Args:
        predict: gives the answers.
        begin: gives the state before the first step of a batch.
        task: what is asked.
        series: of whom.
        unscored: steps at the beginning of each that are read alone.
        whole: whether each is read in one piece.
    """
    loss = measure = 0.0
    count = rows = 0
    for batch in _batches(series):
        answers, targets = _answers(predict, begin(batch), batch, unscored, whole=whole)
        loss += task.losses(answers, targets).sum().item()
        measure += task.measures(answers, targets).sum().item()
        count += len(answers)
        rows += len(batch.x)
    if not count:
        raise DataInvalid(
            f"no sequence is longer than the {unscored} steps that are not scored; lower training.washout"
        )
    return Score(loss / count, task.figure(measure / (rows if task.per == "sequence" else count)))


def _score_wholes(model: SequenceModel, task: Task, series: Sequence[Series]) -> Score:
    """Score sequences that have one loss each; what a model puts out by itself is measured where it is done."""
    device = next(model.parameters()).device
    pairs = [task.whole_losses(model, batch.on(device)) for batch in _batches(series)]
    loss = sum(losses.sum().item() for losses, _ in pairs) / max(1, sum(count for _, count in pairs))
    return Score(loss, task.figure(loss))


@torch.no_grad()
def chosen(model: SequenceModel, series: Sequence[Series]) -> tuple[Tensor, Tensor]:
    """Give the answers that count, `[n, outputs]`, and their targets, of sequences sorted by their length."""
    model.eval()
    whole, late = not model.cell.causal, model.cell.delay
    pairs = [_answers(model, _begin(model, batch), batch, late, whole=whole) for batch in _batches(series)]
    return torch.cat([answers for answers, _ in pairs]), torch.cat([targets for _, targets in pairs])


def _begin(model: SequenceModel, batch: Batch) -> State:
    device = next(model.parameters()).device
    return model.begin(len(batch.x), batch.told(lambda tensor: tensor.to(device)))


def _batches(series: Sequence[Series]) -> Iterator[Batch]:
    """Put sequences of about one length together."""
    ordered = sorted(series, key=lambda one: len(one.inputs))
    for first in range(0, len(ordered), ROWS):
        yield collate(ordered[first : first + ROWS])


def _answers(predict: Predictor, state: State, batch: Batch, unscored: int, *, whole: bool) -> tuple[Tensor, Tensor]:
    """Give the answers that count and their targets; in stretches, a row that has ended is read on, unheard."""
    pieces = []
    for x in [batch.x] if whole else torch.split(batch.x, STRETCH, 1):
        answers, state = predict(x, state, batch.lengths if whole else None)
        pieces.append(answers.cpu())
    return asked(torch.cat(pieces, 1), batch, unscored=unscored)


def in_rows(series: Sequence[Series], rows: int) -> list[Series]:
    """Cut a single long series into rows, which are scored faster side by side; others stay as they are."""
    if len(series) != 1 or not series[0].is_stepwise or len(series[0].inputs) < rows:
        return list(series)
    inputs, targets = series[0].inputs, series[0].targets
    length = len(inputs) // rows
    return [
        Series(inputs[first : first + length], targets[first : first + length])
        for first in range(0, rows * length, length)
    ]
