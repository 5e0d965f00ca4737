"""Teacher forcing of a cell that reads its own output, whole or now and then.

Teacher forcing: Williams and Zipser, "A learning algorithm for continually running fully recurrent neural networks",
1989; Deep Learning, section 10.2.1. Scheduled sampling: Bengio, Vinyals, Jaitly and Shazeer, NIPS 2015.
"""

import torch
from torch import Tensor

from training.architectures.output_recurrence import OutputRecurrence
from training.cell import State


def forced(cell: OutputRecurrence, xs: Tensor, truth: Tensor, state: State, share: float) -> tuple[Tensor, State]:
    """Run a cell that reads the truth in place of its last output, in a share of steps and rows.

    Args:
        cell: the network.
        xs: `[batch, time, input_size]`.
        truth: what each step's output should be, `[batch, time, output_size]`; the next step may read it.
        state: before the first step.
        share: 1: always, and all steps at once; less: each row of each step draws.

    Returns:
        Outputs `[batch, time, output_size]` and the state after the last step.
    """
    if share == 1:
        return cell.forced(xs, truth, state)
    outputs = []
    for x, true in zip(xs.unbind(1), truth.unbind(1), strict=True):
        o, state = cell.step(x, state)
        outputs.append(o)
        drawn = torch.rand(len(o), 1, device=o.device) < share
        state = {"o": torch.where(drawn, true, o)}
    return torch.stack(outputs, 1), state
