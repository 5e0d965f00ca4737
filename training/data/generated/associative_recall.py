"""Associative recall: of a list of items one is shown again, and the item that came after it is asked for.

A. Graves, G. Wayne, I. Danihelka. Neural Turing Machines. arXiv:1410.5401, 2014, section 4.3: n items of three vectors
of six fair bits, a flag f before each item; then, between two flags of another kind q, one of them but the last,

    x = f item[1]  f item[2] ... f item[n]  q item[i] q  0 0 0,
    y =            nothing                             item[i + 1].

Guessing has nine bits wrong.
"""

from collections.abc import Sequence

import numpy as np

from training.data.series import Floats, Series

VECTORS, BITS = 3, 6
ITEM, QUERY = BITS, BITS + 1


def make_associative_recall(seed: int, count: int, items: Sequence[int] = range(2, 7)) -> list[Series]:
    """Make sequences, n drawn from `items`: inputs `[4 n + 8, 8]`, targets `[4 n + 8, 6]`.

    Targets are NaN where nothing is asked.
    """
    random = np.random.default_rng(seed)
    return [_recalled(random, int(n)) for n in random.choice(items, count)]


def _recalled(random: np.random.Generator, n: int) -> Series:
    items, asked = random.integers(0, 2, (n, VECTORS, BITS)), random.integers(n - 1)
    shown = np.concatenate([items, items[asked][None]])
    inputs: Floats = np.zeros((4 * n + 8, BITS + 2), np.float32)
    # A flag and an item take four steps, those of the one that is shown again the last four of them.
    steps = inputs[: 4 * n + 4].reshape(n + 1, 1 + VECTORS, BITS + 2)
    steps[:, 1:, :BITS] = shown
    steps[:n, 0, ITEM] = 1
    inputs[[4 * n, 4 * n + 4], QUERY] = 1
    targets: Floats = np.full((4 * n + 8, BITS), np.nan, np.float32)
    targets[-VECTORS:] = items[asked + 1]
    return Series(inputs, targets)
