"""The adding problem: of two marked numbers in a long row the sum is asked.

S. Hochreiter, J. Schmidhuber. Long Short-Term Memory. Neural Computation 9(8), 1997, experiment 4; the form here is
that of Q. V. Le, N. Jaitly, G. E. Hinton. arXiv:1504.00941, 2015: values uniform in [0, 1), one mark in each half of
the row,

    y = sum over t of x[t] m[t],    m[t] in {0, 1},    sum of m = 2.

Always answering 1 has the squared error 1/6, 0.167.
"""

import numpy as np

from training.data.series import Batch


def make_adding(seed: int, count: int, steps: int) -> Batch:
    """Make inputs `[count, steps, 2]`, values and marks, and targets FP32 `[count, 1]`; `steps` is at least 2."""
    random = np.random.default_rng(seed)
    values = random.random((count, steps), dtype=np.float32)
    marks = np.zeros_like(values)
    rows = np.arange(count)
    marks[rows, random.integers(0, steps // 2, count)] = 1
    marks[rows, random.integers(steps // 2, steps, count)] = 1
    return Batch(np.stack([values, marks], axis=2), (values * marks).sum(axis=1, keepdims=True))
