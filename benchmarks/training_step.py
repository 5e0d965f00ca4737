"""One update of a recurrent layer with a readout, forwards, backwards and by Adam, on one thread.

`python -m benchmarks.training_step CELL WHOSE` prints seconds an update: CELL is lstm or gru, WHOSE is recur or torch.
"""

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.architectures import build_cell

FEATURES, HIDDEN, ROWS, STEPS = 64, 256, 50, 100
WARM, UPDATES = 2, 8
LAYERS: dict[str, type[nn.LSTM | nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


def seconds_an_update(cell: str, whose: str) -> float:
    """Train on one random batch `[rows, steps, features]`."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer, scan = _layer(cell, whose)
    readout = nn.Linear(HIDDEN, FEATURES)
    optimizer = torch.optim.Adam([*layer.parameters(), *readout.parameters()])
    xs, ys = torch.randn(2, ROWS, STEPS, FEATURES)

    def update() -> None:
        optimizer.zero_grad()
        nn.functional.mse_loss(readout(scan(xs)), ys).backward()  # type: ignore[no-untyped-call]  # torch leaves it so
        optimizer.step()

    for _ in range(WARM):
        update()
    began = time.perf_counter()
    for _ in range(UPDATES):
        update()
    return (time.perf_counter() - began) / UPDATES


def _layer(cell: str, whose: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    if whose == "torch":
        layer = LAYERS[cell](FEATURES, HIDDEN, batch_first=True)
        return layer, lambda xs: layer(xs)[0]
    own = build_cell(cell, FEATURES, HIDDEN)
    return own, lambda xs: own.scan(xs, own.init_state(len(xs)))[0]


if __name__ == "__main__":
    sys.stdout.write(f"{seconds_an_update(sys.argv[1], sys.argv[2])}\n")
