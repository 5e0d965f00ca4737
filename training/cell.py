"""The one kind of cell: a function of an input and a state to an output and the next state."""

import abc

import torch
from torch import Tensor, nn

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


def _where(valid: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(valid.view(-1, *[1] * (new.dim() - 1)), new, old)
