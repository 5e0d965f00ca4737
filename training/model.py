"""A model of sequences: an embedding, a cell over time, dropout, a readout."""

from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.cell import Cell, Conditioned, Source, Sourced, State


@final
class Units(nn.Module):
    """The mean and the deviation of some numbers over the training data, `[features]` each."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def set(self, mean: Tensor, deviation: Tensor) -> None:
        """Take what was measured; numbers that never change are only shifted."""
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    def leave(self, x: Tensor) -> Tensor:
        """Give numbers without their units, `[…, features]`."""
        return (x - self.mean) / self.deviation

    def enter(self, x: Tensor) -> Tensor:
        """Give numbers in their units, `[…, features]`."""
        return x * self.deviation + self.mean


@final
class Numbers(nn.Module):
    """The embedding of numbers: they lose their units, if they are normalised, and go through a dense layer, if asked.

    Args:
        features: of a step's input.
        embedding_size: of the dense layer; 0 for none.
        normalise: whether clients send raw units, which are taken off here.
    """

    def __init__(self, features: int, embedding_size: int = 0, *, normalise: bool = False) -> None:
        super().__init__()
        self.features = features
        self.output_size = embedding_size or features
        self.units = Units(features) if normalise else None
        self.dense = nn.Linear(features, embedding_size) if embedding_size else None

    @property
    def is_plain(self) -> bool:
        """Whether numbers go through as they come."""
        return self.units is None and self.dense is None

    @override
    def forward(self, x: Tensor) -> Tensor:
        x = x if self.units is None else self.units.leave(x)
        return x if self.dense is None else self.dense(x)


@final
class Fields(nn.Module):
    """The embedding of several symbols a step: their rows of one table, side by side.

    Args:
        symbols: of all fields together.
        embedding_size: of each.
        fields: symbols of a step.
    """

    def __init__(self, symbols: int, embedding_size: int, fields: int) -> None:
        super().__init__()
        self.fields = fields
        self.table = nn.Embedding(symbols, embedding_size)
        self.output_size = fields * embedding_size

    @override
    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.table(x)
        return rows.flatten(-2)


@final
class AsTheyAre(nn.Module):
    """The embedding of a cell that has its own: hands a step's symbols on, as indices.

    Args:
        symbols: how many there are.
        fields: symbols of a step; 0 where it is one, without an axis of its own.
    """

    def __init__(self, symbols: int, fields: int) -> None:
        super().__init__()
        self.symbols = symbols
        self.fields = fields

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x if self.fields else x[..., None]


Embedding = nn.Embedding | Fields | AsTheyAre | Numbers


@final
class SequenceModel(nn.Module):
    """Gives at every step what a task asks for, from what was read so far.

    Args:
        embedding: from a step's symbol, symbols or numbers to the cell's input.
        cell: the recurrence.
        outputs: numbers of an answer, which the readout gives; without it the cell's outputs are the answers.
        dropout: share of the cell's outputs that are dropped in training.
        readout: whether there is one.
        normalise: whether the answers are put into the units of the targets.
    """

    def __init__(
        self,
        *,
        embedding: Embedding,
        cell: Cell,
        outputs: int,
        dropout: float,
        readout: bool = True,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        outputs *= cell.answers
        if not readout and cell.output_size != outputs:
            raise ValueError(f"without a readout the cell must give {outputs} outputs, and it gives {cell.output_size}")
        if cell.across and not (isinstance(embedding, Numbers) and embedding.is_plain):
            raise ValueError("a cell that reads grids reads them as they are: leave embedding_size and normalise out")
        self.outputs = outputs
        self.embedding = embedding
        self.cell = cell
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(cell.output_size, outputs) if readout else None
        self.units = Units(outputs) if normalise else None

    @property
    def context(self) -> int:
        """How many numbers say what a sequence is about; 0 for a cell that is told nothing."""
        return self.cell.context_size if isinstance(self.cell, Conditioned) else 0

    @property
    def source_symbols(self) -> int:
        """How many symbols a source may be of; 0 for a cell that writes from none."""
        return self.cell.source_symbols if isinstance(self.cell, Sourced) else 0

    def begin(self, rows: int, context: Tensor | Source | None = None) -> State:
        """Make the state before the first step, of what each sequence is about or written from, or of nothing."""
        if isinstance(self.cell, Sourced) and isinstance(context, Source):
            return self.cell.begin(self.cell.encode(*context), context.lengths)
        if isinstance(self.cell, Conditioned) and isinstance(context, Tensor):
            return self.cell.begin(context)
        return self.cell.init_state(rows)

    @property
    def symbols(self) -> int:
        """How many symbols a step's input may be; 0 where it is numbers."""
        if isinstance(self.embedding, AsTheyAre):
            return self.embedding.symbols
        table = self.embedding.table if isinstance(self.embedding, Fields) else self.embedding
        return table.num_embeddings if isinstance(table, nn.Embedding) else 0

    @property
    def step_shape(self) -> tuple[int, ...]:
        """The axes of a step's input: none where it is one symbol."""
        if isinstance(self.embedding, nn.Embedding) or (
            isinstance(self.embedding, AsTheyAre) and not self.embedding.fields
        ):
            return ()
        return (self.embedding.features if isinstance(self.embedding, Numbers) else self.embedding.fields,)

    @property
    def step_axes(self) -> tuple[int | str, ...]:
        """The same, a free one by its name."""
        return (self.cell.across,) if self.cell.across else self.step_shape

    @override
    def forward(self, x: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Give the answer of every step, and the next state.

        Args:
            x: symbols, INT64 `[batch, time]` or `[batch, time, fields]`, or numbers, FP32 `[batch, time, features]`.
            state: before the first step, `[batch, …]`.
            lengths: valid steps of each row, `[batch]`; answers `[batch, time, outputs]` are zero after them.

        Raises:
            ValueError: the state is not the cell's for this batch.
        """
        self.cell.check_state(state, len(x))
        ys, next_state = self.cell.scan(self.embedding(x), state, lengths)
        answers = self.answer(ys)
        if lengths is not None:
            valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
            answers = torch.where(valid[..., None], answers, 0.0)
        return answers, next_state

    def told(self, x: Tensor, state: State, lengths: Tensor) -> dict[str, Tensor]:
        """Give what the cell's steps tell besides, `[batch, time, …]` by name, zeros after each row's length."""
        told: dict[str, list[Tensor]] = {name: [] for name in self.cell.tells}
        for t, read in enumerate(self.embedding(x).unbind(1) if told else ()):
            _, state, found = self.cell.step_told(read, state)
            for name, one in found.items():
                told[name].append(torch.where((t < lengths)[:, None], one, 0.0))
        return {name: torch.stack(steps, 1) for name, steps in told.items()}

    def answer(self, ys: Tensor) -> Tensor:
        """Give the answers to the cell's outputs, `[…, output_size]` to `[…, outputs]`."""
        answers = self.dropout(ys)
        answers = answers if self.readout is None else self.readout(answers)
        return answers if self.units is None else self.units.enter(answers)


def symbol_model(*, symbols: int, embedding_size: int, cell: Cell, dropout: float) -> SequenceModel:
    """Build a model that reads symbols and answers with the logits of as many."""
    embedding = nn.Embedding(symbols, embedding_size)
    return SequenceModel(embedding=embedding, cell=cell, outputs=symbols, dropout=dropout)
