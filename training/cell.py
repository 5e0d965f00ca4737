"""The one kind of cell: a function of an input and a state to an output and the next state."""

import abc

import torch
from torch import Tensor, nn
from typing_extensions import override

State = dict[str, Tensor]


class Cell(nn.Module, abc.ABC):
    """A step over time. `[batch, …]` in every tensor; states are named, and names are what pairs them.

    Attributes:
        input_size: features of a step's input.
        output_size: features of a step's output.
    """

    input_size: int
    output_size: int

    @abc.abstractmethod
    def init_state(self, batch_size: int) -> State:
        """Make the state before the first step, `[batch, …]`."""

    @abc.abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Do one step: `[batch, input_size]` to `[batch, output_size]` and the next state."""

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
                next_state = {name: _where(valid, new, state[name]) for name, new in next_state.items()}
            outputs.append(y)
            state = next_state
        return torch.stack(outputs, 1), state

    def check_state(self, state: State, batch_size: int) -> None:
        """Raise ValueError unless a state has this cell's tensors, in their shapes, for a batch of this size."""
        expected = self.init_state(1)
        if state.keys() != expected.keys():
            raise ValueError(f"the state has {', '.join(state)}, but the cell's has {', '.join(expected)}")
        for name, tensor in expected.items():
            wanted = (batch_size, *tensor.shape[1:])
            if state[name].shape != wanted:
                raise ValueError(f"state '{name}' is {list(state[name].shape)}, but {list(wanted)} is expected")


class Conditioned(Cell, abc.ABC):
    """A cell whose sequence is about something: a vector of `context_size` features that makes its first state."""

    context_size: int

    @abc.abstractmethod
    def begin(self, context: Tensor) -> State:
        """Make the state before the first step from `[batch, context_size]`."""

    @override
    def init_state(self, batch_size: int) -> State:
        return self.begin(next(self.parameters()).new_zeros(batch_size, self.context_size))


def _where(valid: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(valid.view(-1, *[1] * (new.dim() - 1)), new, old)
