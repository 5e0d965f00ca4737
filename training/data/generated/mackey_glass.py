"""The Mackey-Glass series: a delay equation, chaotic from a delay of about 17.

M. C. Mackey, L. Glass. Oscillation and Chaos in Physiological Control Systems. Science 197, 1977:

    dx/dt = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x(t).

Integrated by the fourth-order Runge-Kutta method in tenths, the delayed value between two of them by their mean; one
value a unit of time is kept, after a thousand that are not.
"""

from collections import deque

import numpy as np

from training.data.series import Floats

FINER, WASHED_OUT = 10, 1000


def make_mackey_glass(seed: int, steps: int, delay: int = 17) -> Floats:
    """Make values `[steps, 1]`; the seed draws the history before them, 1.2 with noise of 0.05."""
    noise = np.random.default_rng(seed).normal(scale=0.05, size=delay * FINER + 1)
    # From x(t - delay) to x(t).
    past = deque((1.2 + noise).tolist(), maxlen=delay * FINER + 1)
    values = []
    for tick in range((WASHED_OUT + steps) * FINER):
        past.append(_next(past[-1], past[0], past[1]))
        if tick % FINER == FINER - 1:
            values.append(past[-1])
    return np.array(values[WASHED_OUT:], dtype=np.float32)[:, None]


def _next(x: float, delayed: float, delayed_after: float) -> float:
    h, middle = 1 / FINER, (delayed + delayed_after) / 2
    k1 = _slope(x, delayed)
    k2 = _slope(x + h * k1 / 2, middle)
    k3 = _slope(x + h * k2 / 2, middle)
    k4 = _slope(x + h * k3, delayed_after)
    return x + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6


def _slope(x: float, delayed: float) -> float:
    return 0.2 * delayed / (1 + delayed**10) - 0.1 * x
