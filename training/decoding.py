"""What a model writes by itself: at each step the most probable symbol, until each row has ended."""

import torch
from torch import Tensor

from training.cell import Source
from training.model import SequenceModel


@torch.no_grad()
def greedy(
    model: SequenceModel, context: Tensor | Source | None, rows: int, *, edge: int, most: int
) -> list[list[int]]:
    """Write a sequence for each row.

    Args:
        model: reads a symbol a step, and answers with the logits of as many.
        context: what the sequences are about, or written from.
        rows: how many.
        edge: the symbol that is read first, and that ends a sequence; it is not among what is given.
        most: symbols of each at most.
    """
    state = model.begin(rows, context)
    last = torch.full((rows, 1), edge)
    written = []
    for _ in range(most):
        answers, state = model(last, state)
        last = answers[:, -1].argmax(-1, keepdim=True)
        written.append(last)
        if bool((torch.cat(written, 1) == edge).any(1).all()):
            break
    return [_until(row, edge) for row in torch.cat(written, 1).tolist()]


def _until(symbols: list[int], edge: int) -> list[int]:
    return symbols[: symbols.index(edge)] if edge in symbols else symbols
