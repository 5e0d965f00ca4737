import torch

from training.architectures import build_cell
from training.architectures.countdown import TENTH, Countdown
from training.cell import Cell


class Echo(Cell):
    """Gives what it reads."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.input_size = self.output_size = size

    def init_state(self, batch_size):
        return {"h": torch.zeros(batch_size, 1)}

    def step(self, x, state):
        return x, state


def test_every_step_reads_how_many_are_left_and_whether_it_is_the_last():
    cell = Countdown(Echo(3), 1)
    ys, state = cell.scan(torch.zeros(2, 3, 1), cell.begin(torch.tensor([[3.0], [2.0]])))
    assert torch.allclose(ys[..., 1] / TENTH, torch.tensor([[3.0, 2.0, 1.0], [2.0, 1.0, 0.0]]))
    assert ys[..., 2].tolist() == [[0, 0, 1], [0, 1, 0]]
    assert state["left"].tolist() == [[0], [-1]]


def test_a_cell_inside_that_is_told_something_is_told_it_before_the_length(seed):
    torch.manual_seed(seed)
    cell = build_cell("countdown", 2, 4, {"layer": {"architecture": "vector_to_sequence", "context_size": 3}})
    assert cell.context_size == 4
    state = cell.begin(torch.tensor([[0.0, 1.0, 0.0, 5.0]]))
    assert state["v"].tolist() == [[0, 1, 0]]
    assert state["left"].tolist() == [[5]]
