"""A model of symbols: embedding, cell over time, dropout, readout."""

from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.cell import Cell, State


@final
class SequenceModel(nn.Module):
    """Predicts the next symbol at every step.

    Args:
        symbols: how many there are.
        embedding: from a symbol's index to the cell's input.
        cell: the recurrence.
        dropout: share of the cell's outputs that are dropped in training.
    """

    def __init__(self, *, symbols: int, embedding_size: int, cell: Cell, dropout: float) -> None:
        super().__init__()
        self.symbols = symbols
        self.embedding = nn.Embedding(symbols, embedding_size)
        self.cell = cell
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(cell.output_size, symbols)

    @override
    def forward(self, x: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Give the logits of the next symbol, and the next state.

        Args:
            x: symbols, INT64 `[batch, time]`.
            state: before the first step, `[batch, …]`.
            lengths: valid steps of each row, `[batch]`; logits `[batch, time, symbols]` are zero after them.

        Raises:
            ValueError: the state is not the cell's for this batch.
        """
        self.cell.check_state(state, len(x))
        ys, next_state = self.cell.scan(self.embedding(x), state, lengths)
        logits = self.readout(self.dropout(ys))
        if lengths is not None:
            valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
            logits = torch.where(valid[..., None], logits, 0.0)
        return logits, next_state
