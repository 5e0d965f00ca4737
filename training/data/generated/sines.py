"""Sums of sines, each of its own frequency and phase: smooth series that a model forecasts.

The superposed oscillators of H. Jaeger. The "echo state" approach to analysing and training recurrent neural
networks. GMD Report 148, 2001, and many after it; frequencies and phases are drawn here for every series:

    x[t] = 1/n sum over i of sin(2 pi t / p[i] + q[i]),    p uniform in [10, 50),    q uniform in [0, 2 pi).
"""

import numpy as np

from training.data.series import Batch


def make_sines(seed: int, count: int, steps: int, waves: int = 3) -> Batch:
    """Make inputs x[t] and targets x[t + 1], both `[count, steps, 1]`, from -1 to 1."""
    random = np.random.default_rng(seed)
    periods = random.uniform(10, 50, (count, 1, waves))
    phases = random.uniform(0, 2 * np.pi, (count, 1, waves))
    t = np.arange(steps + 1)[:, None]
    values = np.sin(2 * np.pi * t / periods + phases).mean(axis=2, keepdims=True).astype(np.float32)
    return Batch(values[:, :-1], values[:, 1:])
