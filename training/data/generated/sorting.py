"""Sorting: the places of some numbers, all different, from that of the smallest to that of the largest.

The task of O. Vinyals, S. Bengio, M. Kudlur. Order Matters: Sequence to Sequence for Sets. ICLR 2016:

    y[t] = the place of the t-th smallest,    x drawn from 0..kinds - 1 without putting back.
"""

from collections.abc import Iterator

import numpy as np

from training.data.series import Indices


def make_sorting(seed: int, count: int, shortest: int, longest: int, kinds: int) -> Iterator[tuple[Indices, Indices]]:
    """Make `count` rows of `shortest` to `longest` numbers, and their places in order."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        numbers = random.permutation(kinds)[: random.integers(shortest, longest + 1)]
        yield numbers, np.argsort(numbers)
