"""The one kind of cell: a function of an input and a state to an output and the next state."""

import abc
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from models.tensors import Array

State = dict[str, Tensor]


class Cell(nn.Module, abc.ABC):
    """A step over time. `[batch, …]` in every tensor; states are named, and names are what pairs them.

    Attributes:
        input_size: features of a step's input.
        output_size: features of a step's output.
        causal: whether a step's output depends on no later step.
        delay: how many steps later than a step its output comes.
        free: the states whose first axis after the batch's is of any size, and that axis's name; the state
            `AXIS_length`, INT64 `[batch]`, says how much of it is a row's own.
        constant: the states that no step changes.
        counts: the states of numbers that only count steps.
        gates: the names of what a step takes a sigmoid of, in the order in which it does, all of one size.
        tells: what a step tells besides its output, FP32 `[batch, AXIS]`, by name, and that free axis of its states.
        takes_any_state: whether any numbers may be its state; where not, only steps from the first state make others.
        symbols: how many symbols its inputs are of, where it embeds them itself and `input_size` of them make a step;
            0 where its inputs are numbers.
        spelled: how many numbers of a step's input are symbols, the first ones; None for all.
        across: the name of the axis of a step's input, where it is a row of a grid, of any width; empty elsewhere.
        refuses: what it means that an output is NaN, as a sentence for who sent the step; empty where it means nothing.
        answers: how many answers a step puts out, one after the other.
        below: of the states that are whole numbers, what they are always below, where they are not to be any number.
    """

    input_size: int
    output_size: int
    causal: bool = True
    delay: int = 0
    free: Mapping[str, str] = {}
    constant: frozenset[str] = frozenset()
    counts: frozenset[str] = frozenset()
    gates: tuple[str, ...] = ()
    tells: Mapping[str, str] = {}
    takes_any_state: bool = True
    symbols: int = 0
    spelled: int | None = None
    across: str = ""
    answers: int = 1
    below: Mapping[str, int] = {}
    refuses: str = ""

    @abc.abstractmethod
    def init_state(self, batch_size: int) -> State:
        """Make the state before the first step, `[batch, …]`."""

    @abc.abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Do one step: `[batch, input_size]` to `[batch, output_size]` and the next state."""

    def step_told(self, x: Tensor, state: State) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Do one step, and give what it tells besides."""
        return *self.step(x, state), {}

    def at(self, update: int, *, stalled: bool) -> None:
        """Hear how many updates there were, before the next one; a cell may train in another way at first.

        Args:
            update: so many.
            stalled: whether a validation since has gained nothing.
        """

    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """Repeat `step` over time; a faster form may replace it and is tested equal.

        Args:
            xs: `[batch, time, input_size]`.
            state: before the first step.
            lengths: valid steps of each row, `[batch]`; after them outputs are zero and the state stays.

        Returns:
            Outputs `[batch, time, output_size]` and the state after each row's last valid step.
        """
        outputs = []
        for t, x in enumerate(xs.unbind(1)):
            y, next_state = self.step(x, state)
            if lengths is not None:
                valid = t < lengths
                y = torch.where(valid[:, None], y, 0.0)
                next_state = {name: where_rows(valid, new, state[name]) for name, new in next_state.items()}
            outputs.append(y)
            state = next_state
        return torch.stack(outputs, 1), state

    def draw_inputs(
        self, rows: int, time: int, state: State, random: np.random.Generator
    ) -> tuple[Array, NDArray[np.int64]] | None:
        """Draw inputs `[rows, time, …]` that may follow a state, where not all may, and how many of each row may.

        None for a cell that takes any.
        """
        return None

    def check_state(self, state: State, batch_size: int) -> None:
        """Raise ValueError unless a state has this cell's tensors, in their shapes, for a batch of this size."""
        expected = self.init_state(1)
        if state.keys() != expected.keys():
            raise ValueError(f"the state has {', '.join(state)}, but the cell's has {', '.join(expected)}")
        for name, tensor in expected.items():
            wanted = (batch_size, *tensor.shape[1:])
            if name in self.free:
                wanted = (batch_size, state[name].shape[1], *tensor.shape[2:])
            if state[name].shape != wanted:
                raise ValueError(f"state '{name}' is {list(state[name].shape)}, but {list(wanted)} is expected")


class Source(NamedTuple):
    """What sequences are written from: symbols `[batch, source]`, and each row's length, INT64 `[batch]`."""

    symbols: Tensor
    lengths: Tensor


class Conditioned(Cell, abc.ABC):
    """A cell whose sequence is about something: a vector of `context_size` features that makes its first state."""

    context_size: int

    @abc.abstractmethod
    def begin(self, context: Tensor) -> State:
        """Make the state before the first step from `[batch, context_size]`."""

    @override
    def init_state(self, batch_size: int) -> State:
        return self.begin(next(self.parameters()).new_zeros(batch_size, self.context_size))


class Sourced(Cell, abc.ABC):
    """A cell whose sequence answers another, of symbols: that one is read first, and makes the first state.

    Attributes:
        source_symbols: how many symbols there are.
        longest: symbols that a source may have; 0 for any number.
        embedding: of the symbols.
        encoder: reads them.
    """

    source_symbols: int
    longest: int = 0
    embedding: nn.Embedding
    encoder: Cell

    @abc.abstractmethod
    def encode(self, source: Tensor, lengths: Tensor) -> Tensor:
        """Annotate a source, `[batch, source]` to `[batch, source, …]`, zeros after each row's length, `[batch]`."""

    @abc.abstractmethod
    def begin(self, annotations: Tensor, lengths: Tensor) -> State:
        """Make the state before the first step."""

    @override
    def init_state(self, batch_size: int) -> State:
        like = self.embedding.weight
        nothing = like.new_zeros(batch_size, 1, self.encoder.output_size)
        state = self.begin(nothing, torch.ones(batch_size, dtype=torch.int64, device=like.device))
        return {name: tensor.detach() for name, tensor in state.items()}


class Whole(Cell, abc.ABC):
    """A layer that reads a whole sequence before it answers any of it: it has no state to go on from, and no step."""

    causal = False

    @abc.abstractmethod
    def read(self, xs: Tensor, lengths: Tensor) -> Tensor:
        """Answer every step, `[batch, time, input_size]` to `[batch, time, output_size]`; padding may be anything."""

    @override
    def init_state(self, batch_size: int) -> State:
        return {}

    @override
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        raise TypeError("a layer that reads whole sequences has no step")

    @override
    def scan(self, xs: Tensor, state: State, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        rows, time = xs.shape[:2]
        lengths = torch.full((rows,), time, device=xs.device) if lengths is None else lengths
        valid = torch.arange(time, device=xs.device) < lengths[:, None]
        return torch.where(valid[..., None], self.read(xs, lengths), 0.0), {}


def state_shapes(cell: Cell) -> dict[str, tuple[int | str, ...]]:
    """Give the axes of each state after the batch's, a free one by its name."""
    shapes: dict[str, tuple[int | str, ...]] = {}
    for name, tensor in cell.init_state(1).items():
        sizes = tuple(tensor.shape[1:])
        shapes[name] = (cell.free[name], *sizes[1:]) if name in cell.free else sizes
    return shapes


def some_lengths(rows: int, time: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw how many steps each row has, `[rows]`; at least one has them all."""
    lengths = random.integers(1, time + 1, rows)
    lengths[random.integers(rows)] = time
    return lengths


def where_rows(chosen: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Give the new rows where they are chosen, `[batch]`, and the old ones elsewhere, `[batch, …]`."""
    return torch.where(chosen.view(-1, *[1] * (new.dim() - 1)), new, old)
