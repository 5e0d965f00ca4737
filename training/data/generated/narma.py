"""NARMA-10: an output that depends on the last ten inputs and on itself.

A. F. Atiya, A. G. Parlos. New results on recurrent network training. IEEE Transactions on Neural Networks 11(3),
2000, with u uniform in [0, 0.5):

    y[t+1] = 0.3 y[t] + 0.05 y[t] (y[t] + ... + y[t-9]) + 1.5 u[t-9] u[t] + 0.1.

For some inputs it grows without bound; then others are drawn.
"""

import numpy as np
from numpy.typing import NDArray

from training.data.series import Series

ORDER, WASHED_OUT = 10, 200
# What stays bounded stays below 1.
BOUND = 2.0


def make_narma(seed: int, steps: int) -> Series:
    """Make inputs u[t] and targets y[t + 1], both `[steps, 1]`, after 200 that are left out."""
    random = np.random.default_rng(seed)
    while True:
        u = random.uniform(0, 0.5, WASHED_OUT + steps)
        y = _respond(u)
        if y.max() < BOUND:
            inputs, targets = (v[WASHED_OUT:, None].astype(np.float32) for v in (u, y[1:]))
            return Series(inputs, targets)


def _respond(u: NDArray[np.float64]) -> NDArray[np.float64]:
    y = np.zeros(len(u) + 1)
    for t in range(ORDER - 1, len(u)):
        last = y[t - ORDER + 1 : t + 1].sum()
        y[t + 1] = min(0.3 * y[t] + 0.05 * y[t] * last + 1.5 * u[t - ORDER + 1] * u[t] + 0.1, BOUND)
    return y
