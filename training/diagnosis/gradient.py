r"""How far back a loss is felt: the norm of dL_T/ds_t, step by step back from the last step.

L_T is the loss of the last answer alone, so that what arrives at a state came through all steps between. Deep Learning,
sections 10.2.2 and 10.7.
"""

import msgspec
import torch
from torch import Tensor

from training.batches import Batch
from training.diagnosis.band import Band, band
from training.diagnosis.walk import Walk
from training.tasks.base import Task, is_stepwise


class Gradient(msgspec.Struct, frozen=True):
    """The norm at the state before each of the last steps, the last one first."""

    norms: list[Band]

    @property
    def left(self) -> float:
        """How much of the norm at the last step is found at the furthest."""
        return self.norms[-1].median / self.norms[0].median if self.norms[0].median else 0.0


def gradient(walk: Walk, task: Task) -> Gradient:
    """Measure back from each sequence's last step."""
    ss, loss = _unrolled(walk, task)
    grads = torch.autograd.grad(loss, ss)
    norms = torch.stack([one.norm(dim=1) for one in grads])
    found = []
    for k in range(1, walk.reach + 1):
        rows = (walk.lengths >= k).nonzero()[:, 0]
        found.append(band(norms[walk.lengths[rows] - k, rows]))
    return Gradient(found)


def _unrolled(walk: Walk, task: Task) -> tuple[list[Tensor], Tensor]:
    """Run with the graph kept: the vectors before each step, and the sum of all rows' last losses."""
    flat, cell, state = walk.flat, walk.model.cell, walk.begin
    ss, ys = [], []
    for x in walk.xs.detach().unbind(1):
        s = flat.join(state)
        ss.append(s if s.requires_grad else s.requires_grad_())
        y, state = cell.step(x, flat.state(ss[-1], flat.held(state)))
        ys.append(y)
    last = torch.stack(ys)[walk.lengths - 1, torch.arange(walk.rows)]
    return ss, task.losses(walk.model.answer(last), _last_targets(walk.batch)).sum()


def _last_targets(batch: Batch) -> Tensor:
    targets = batch.targets
    if is_stepwise(batch):
        targets = targets[torch.arange(len(targets)), batch.lengths - 1]
    return targets.double() if targets.is_floating_point() else targets
