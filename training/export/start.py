"""The start graph of a conditioned cell: from what a sequence is about to its first state."""

import copy
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.cell import Conditioned
from training.export.builder import Builder
from training.export.trace import ROWS, trace
from training.model import SequenceModel

CONTEXT = "context"


def export_start(model: SequenceModel) -> bytes | None:
    """Write `context [batch, context] -> state.*`; None for a cell that is told nothing."""
    if not isinstance(model.cell, Conditioned):
        return None
    cell = copy.deepcopy(model.cell).cpu().float()
    names = list(cell.init_state(1))
    context = torch.zeros(ROWS, cell.context_size)
    traced = trace(_Begin(cell, names), (context,), [CONTEXT], [f"state.{name}" for name in names])
    build = Builder()
    build.copy(traced.node, traced.initializer)
    return build.finish(list(traced.input), list(traced.output))


@final
class _Begin(nn.Module):
    """A cell's beginning with its states in a fixed order, as the exporter needs it."""

    def __init__(self, cell: Conditioned, names: Sequence[str]) -> None:
        super().__init__()
        self.cell = cell
        self.names = names

    @override
    def forward(self, context: Tensor) -> list[Tensor]:
        state = self.cell.begin(context)
        # What is given on as it came needs a node of its own to have another name.
        return [state[name] + 0 for name in self.names]
