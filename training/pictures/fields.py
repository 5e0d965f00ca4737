"""Draws what an answer to a grid, and the middle of the grid, have looked at: its receptive fields."""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.architectures.fields import Field
from training.architectures.stack import Stack
from training.batches import collate
from training.data.data import Data
from training.model import SequenceModel

SHOWN = 6


def draw_fields(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw test grids, and for each the size of the derivatives by every number of it.

    Those of the logit that it was given, and those of what is put out in the middle by the networks that go to the
    right, and by those that go to the left.
    """
    batch = collate(data.parts.test[:SHOWN])
    columns = len(batch.x)
    figure = Figure(figsize=(2 * columns, 8), layout="constrained")
    axes = figure.subplots(4, columns, squeeze=False)
    rows = {"read": batch.x, **looks(model.eval(), batch.x, batch.lengths)}
    for place, (name, seen) in enumerate(rows.items()):
        for at, one in zip(axes[place], seen, strict=True):
            at.imshow(one.numpy(), cmap="gray" if name == "read" else "magma")
            at.set_xticks([])
            at.set_yticks([])
        axes[place][0].set_ylabel(name)
    figure.savefig(path, dpi=100)
    return {}


def looks(model: SequenceModel, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """Give the sizes of derivatives by the input, `[batch, height, width]`, of what is drawn."""
    given = x.clone().requires_grad_()
    answers, _ = model(given, model.begin(len(x)), lengths)
    last = answers[torch.arange(len(x)), lengths - 1]
    field = field_of(model).field(given, lengths)
    middle = field[:, field.shape[1] // 2, field.shape[2] // 2]
    right, left = middle.chunk(2, -1)
    return {
        "the answer": _size(last.max(-1).values, given),
        "middle, to the right": _size(right.sum(-1), given),
        "middle, to the left": _size(left.sum(-1), given),
    }


def _size(of: Tensor, given: Tensor) -> Tensor:
    [gradient] = torch.autograd.grad(of.sum(), given, retain_graph=True)
    return gradient.abs()


def field_of(model: SequenceModel) -> Field:
    """Find the layer of a model that reads grids."""
    cell = model.cell.layers[0] if isinstance(model.cell, Stack) else model.cell
    assert isinstance(cell, Field)
    return cell
