"""Cells with known Jacobians, and walks of any cell over random numbers."""

import torch
from torch import Tensor, nn

from training.batches import Batch
from training.cell import Cell, State
from training.diagnosis.walk import Walk
from training.model import Numbers, SequenceModel

ROWS, TIME = 6, 40


class Linear(Cell):
    """s_{t+1} = W s_t + U x_t."""

    def __init__(self, matrix: Tensor, input_size: int = 1) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, len(matrix)
        self.W = nn.Parameter(matrix)
        self.U = nn.Parameter(torch.zeros(len(matrix), input_size))
        with torch.no_grad():
            self.U[0] = 1

    def init_state(self, batch_size: int) -> State:
        return {"h": self.W.new_zeros(batch_size, self.output_size)}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h = x @ self.U.T + state["h"] @ self.W.T
        return h, {"h": h}


def delay_line(units: int) -> Linear:
    """Each unit holds what the one before held a step ago."""
    return Linear(torch.diag(torch.ones(units - 1), -1))


def turned(units: int, radius: float) -> Tensor:
    """A normal matrix: an orthogonal one, scaled."""
    matrix = torch.empty(units, units, dtype=torch.float64)
    nn.init.orthogonal_(matrix)
    return radius * matrix


def walk_of(cell: Cell, rows: int = ROWS, time: int = TIME, *, outputs: int = 1, lengths: Tensor | None = None) -> Walk:
    model = SequenceModel(embedding=Numbers(cell.input_size), cell=cell, outputs=outputs, dropout=0.0)
    model.double().eval().requires_grad_(requires_grad=False)
    x = torch.randn(rows, time, cell.input_size)
    lengths = torch.full((rows,), time) if lengths is None else lengths
    return Walk(model, Batch(x, torch.randn(rows, outputs), lengths))
