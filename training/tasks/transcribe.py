"""Labels written down from a longer sequence, of which nobody says when each is due."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from typing_extensions import override

from training.alignments import log_likelihood
from training.architectures.stack import Stack
from training.architectures.transducer import Transducer, labels_of
from training.batches import Batch, collate
from training.data.series import Series
from training.errors import WrongUse
from training.model import SequenceModel
from training.tasks.base import Task

ROWS = 64


@final
class Transcribe(Task):
    """Answers are logits of all labels and the blank; the metric is edits over labels, of what the model puts out.

    The targets of a sequence are its labels, in its first steps; of the others nothing is asked.

    Args:
        model: a transducer.
    """

    unit = "nats a label"
    metric = "label_error_rate"
    partial = True
    logits = True
    as_wholes = True

    def __init__(self, model: SequenceModel) -> None:
        self._cell = transducer_of(model)
        if model.cell.delay:
            raise WrongUse("task 'transcribe' needs an encoder that does not read ahead: its labels have no place")

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        raise WrongUse("labels without places are learnt all together: an int8 variant of a transducer is not measured")

    @override
    def whole_losses(self, model: SequenceModel, batch: Batch) -> tuple[Tensor, int]:
        labels, counts = labels_in(batch)
        below = _below(model, batch)
        logits = self._cell.lattice(model.dropout(below), labels)
        likely = log_likelihood(logits, labels, batch.lengths, counts)
        return -likely, int(counts.sum())

    @override
    def freely(self, model: SequenceModel, series: Sequence[Series]) -> float:
        pairs = transcribed(model, series)
        wrong = sum(edits([label for label, _ in does], should) for does, should in pairs)
        return wrong / max(1, sum(len(should) for _, should in pairs))


@torch.no_grad()
def transcribed(model: SequenceModel, series: Sequence[Series]) -> list[tuple[list[tuple[int, int]], list[int]]]:
    """Give the labels that a model puts out, each with its step, and those that it should, sequence by sequence."""
    cell, device = transducer_of(model), next(model.parameters()).device
    found: list[tuple[list[tuple[int, int]], list[int]]] = []
    for first in range(0, len(series), ROWS):
        batch = collate(series[first : first + ROWS])
        answers, _ = model.eval()(batch.x.to(device), model.begin(len(batch.x)), batch.lengths.to(device))
        labels, counts = labels_in(batch)
        should = [row[:count] for row, count in zip(labels.tolist(), counts.tolist(), strict=True)]
        found += zip(labels_of(answers, batch.lengths, turns=cell.most), should, strict=True)
    return found


def labels_in(batch: Batch) -> tuple[Tensor, Tensor]:
    """Give the labels of each row, `[batch, most labels]`, padded with the first, and how many it has."""
    counts = batch.valid().sum(1)
    return batch.targets[:, : int(counts.max())].clamp(min=0), counts


def edits(found: Sequence[int], wanted: Sequence[int]) -> int:
    """Count the insertions, deletions and substitutions that make one row of labels the other; Levenshtein, 1966."""
    before = list(range(len(wanted) + 1))
    for count, one in enumerate(found, 1):
        row = [count]
        for place, other in enumerate(wanted):
            row.append(min(before[place + 1] + 1, row[place] + 1, before[place] + (one != other)))
        before = row
    return before[-1]


def transducer_of(model: SequenceModel) -> Transducer:
    """Give the transducer that a model ends in; raises WrongUse where it does not."""
    cell = model.cell.layers[-1] if isinstance(model.cell, Stack) else model.cell
    if not isinstance(cell, Transducer) or model.readout is not None:
        raise WrongUse("task 'transcribe' needs the architecture 'transducer', without a readout: model.readout=false")
    return cell


def _below(model: SequenceModel, batch: Batch) -> Tensor:
    """Give what the layers below the transducer put out."""
    ys: Tensor = model.embedding(batch.x)
    cell = model.cell
    for layer in cell.layers[:-1] if isinstance(cell, Stack) else ():
        ys, _ = layer.scan(ys, layer.init_state(len(ys)), batch.lengths)
    return ys
