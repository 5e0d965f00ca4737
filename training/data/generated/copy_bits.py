"""The copy task: vectors of random bits are given back in order once they are asked for.

A. Graves, G. Wayne, I. Danihelka. Neural Turing Machines. arXiv:1410.5401, 2014, section 4.1: L vectors v[t] of fair
bits, then a flag in a channel of its own, then L steps of zeros in which they are asked for,

    x = (v[1], 0) ... (v[L], 0)  (0, 1)  (0, 0) ... (0, 0),
    y =           nothing (L + 1)        v[1] ... v[L].

Guessing has half of the bits wrong.
"""

from collections.abc import Sequence

import numpy as np

from training.data.series import Floats, Series


def make_copy_bits(seed: int, count: int, lengths: Sequence[int] = range(1, 21), bits: int = 8) -> list[Series]:
    """Make sequences, L drawn from `lengths`: inputs `[2 L + 1, bits + 1]`, targets `[2 L + 1, bits]`.

    Targets are NaN where nothing is asked.
    """
    random = np.random.default_rng(seed)
    return [_copied(random.integers(0, 2, (length, bits))) for length in random.choice(lengths, count)]


def _copied(vectors: np.ndarray) -> Series:
    length, bits = vectors.shape
    inputs: Floats = np.zeros((2 * length + 1, bits + 1), np.float32)
    inputs[:length, :bits] = vectors
    inputs[length, bits] = 1
    targets: Floats = np.full((2 * length + 1, bits), np.nan, np.float32)
    targets[length + 1 :] = vectors
    return Series(inputs, targets)
