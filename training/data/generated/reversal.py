"""Reversal: a row of symbols is given back from its end.

An encoder and a decoder, and attention between them, learn it; reversed inputs are those of I. Sutskever, O. Vinyals,
Q. V. Le. Sequence to Sequence Learning with Neural Networks. NIPS 2014:

    y[t] = x[T + 1 - t],    x uniform in 0..kinds - 1.
"""

import numpy as np

from training.data.series import Symbols


def make_reversal(seed: int, count: int, steps: int, kinds: int = 10) -> Symbols:
    """Make inputs and targets `[count, steps]`."""
    inputs = np.random.default_rng(seed).integers(0, kinds, (count, steps))
    return Symbols(inputs, inputs[:, ::-1].copy(), kinds)
