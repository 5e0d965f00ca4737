"""An update of a recursive network over trees of one shape, whose levels are made one after the other.

`python -m benchmarks.trees balanced|chain` prints its seconds: a balanced tree of n words has log n levels above them,
and a chain n - 1.
"""

import sys
import time

import numpy as np
import torch

from training.architectures import build_cell
from training.architectures.trees import balanced
from training.model import AsTheyAre, SequenceModel

SYMBOLS, SIZE, CLASSES = 1000, 150, 2
ROWS, WORDS, UPDATES = 25, 64, 10
REDUCE = SYMBOLS - 1


def chain(words: list[int]) -> list[int]:
    """Join words from the left, each to all before it."""
    return [words[0], *(symbol for word in words[1:] for symbol in (word, REDUCE))]


def seconds_an_update(shape: str) -> float:
    """Train on the same words in trees of one shape."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    words = np.random.default_rng(0).integers(0, REDUCE, (ROWS, WORDS)).tolist()
    made = [chain(row) if shape == "chain" else balanced(row, REDUCE) for row in words]
    cell = build_cell("recursive", 1, SIZE, {"symbols": SYMBOLS, "depth": WORDS})
    model = SequenceModel(embedding=AsTheyAre(SYMBOLS, 0), cell=cell, outputs=CLASSES, dropout=0.0)
    optimizer, x = torch.optim.Adam(model.parameters()), torch.tensor(made)
    _update(model, optimizer, x)  # warm
    began = time.perf_counter()
    for _ in range(UPDATES):
        _update(model, optimizer, x)
    return (time.perf_counter() - began) / UPDATES


def _update(model: SequenceModel, optimizer: torch.optim.Optimizer, x: torch.Tensor) -> None:
    answers, _ = model(x, model.begin(len(x)))
    loss = torch.nn.functional.cross_entropy(answers[:, -1], torch.zeros(len(x), dtype=torch.int64))
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
    optimizer.step()


if __name__ == "__main__":
    sys.stdout.write(f"{seconds_an_update('chain' if sys.argv[1] == 'chain' else 'balanced')}\n")
