"""An echo state network fitted to predict a series, ours or reservoirpy's, on one thread.

`python -m benchmarks.reservoir WHOSE UNITS STEPS` prints seconds from the series to the readout: WHOSE is recur or
reservoirpy. To draw the reservoir is not counted.
"""

import sys
import time
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from reservoirpy.nodes import Reservoir
from reservoirpy.nodes import Ridge as Readout

from training.architectures.echo_state import EchoState
from training.ridge import Ridge

LEAK, RADIUS, INPUT_SCALE, DENSITY, PENALTY, WASHOUT = 0.6, 0.9, 0.5, 0.1, 1e-6, 200
STRETCH = 1000


def series(steps: int) -> NDArray[np.float64]:
    """Make a noisy sine, `[steps + 1, 1]`."""
    noise = np.random.default_rng(0).normal(0, 0.1, steps + 1)
    return (0.5 * np.sin(np.arange(steps + 1) / 5) + noise)[:, None]


def fit_ours(units: int, values: NDArray[np.float64]) -> float:
    """Give the seconds of a fit."""
    torch.set_num_threads(1)
    cell = EchoState(1, units, spectral_radius=RADIUS, leak=LEAK, input_scale=INPUT_SCALE, density=DENSITY)
    xs = torch.from_numpy(values.astype(np.float32))
    began = time.perf_counter()
    ridge, state = Ridge(units, 1, penalty=PENALTY), cell.init_state(1)
    for first in range(0, len(xs) - 1, STRETCH):
        ys, state = cell.scan(xs[None, first : min(first + STRETCH, len(xs) - 1)], state)
        skipped = max(0, WASHOUT - first)
        ridge.add(ys[0, skipped:], xs[first + 1 : first + 1 + STRETCH][skipped:])
    ridge.solve()
    return time.perf_counter() - began


def fit_theirs(units: int, values: NDArray[np.float64]) -> float:
    """Give the seconds of a fit by reservoirpy."""
    reservoir = Reservoir(
        units, sr=RADIUS, lr=LEAK, input_scaling=INPUT_SCALE, rc_connectivity=DENSITY, input_connectivity=1.0, seed=0
    )
    reservoir.run(values[:2])
    model = reservoir >> Readout(ridge=PENALTY)
    began = time.perf_counter()
    model.fit(values[:-1], values[1:], warmup=WASHOUT)
    return time.perf_counter() - began


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    fit = {"recur": fit_ours, "reservoirpy": fit_theirs}[sys.argv[1]]
    sys.stdout.write(f"{fit(int(sys.argv[2]), series(int(sys.argv[3])))}\n")
