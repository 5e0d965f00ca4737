"""A forecast that goes on from itself: read some of the series, then only what was forecast."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.data.data import Data
from training.data.series import Series
from training.model import SequenceModel

# Steps that are read before each run, steps that are run, and from how many places of the series.
READ, RUN, PLACES = 200, 100, 50
HORIZONS = (1, 10, 50, 84)


def draw_free_run(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw one free run over the truth; gives the error after some steps, by the deviation of the series."""
    truth, forecasts = runs(model, max(data.parts.test, key=lambda one: len(one.inputs)))
    errors = error_after(truth, forecasts, torch.from_numpy(data.target_units()[1]))
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    over_time, growing = figure.subplots(2, 1)
    over_time.plot(truth[0, :, 0], color="0.6", linewidth=3, label="truth")
    over_time.plot(forecasts[0, :, 0], color="C3", linewidth=1, label="free run")
    over_time.set(title="one run on its own forecasts", xlabel="steps")
    over_time.legend(loc="upper right")
    growing.semilogy(range(1, len(errors) + 1), errors.clamp_min(1e-9))
    growing.set(title=f"error of {len(truth)} runs, by the deviation of the series", xlabel="steps", ylabel="NRMSE")
    figure.savefig(path)
    return {f"nrmse_free_run_{steps}": errors[steps - 1].item() for steps in HORIZONS if steps <= len(errors)}


@torch.no_grad()
def runs(model: SequenceModel, series: Series, *, read: int = READ, run: int = RUN) -> tuple[Tensor, Tensor]:
    """Give truth and forecasts `[places, steps, features]`, each place read from the initial state.

    A series that is too short for it is read for a half of its length, once.
    """
    values = torch.from_numpy(np.concatenate([series.inputs, series.targets[-1:]]))
    if len(values) < read + run + 1:
        read, run = len(values) // 2, len(values) - len(values) // 2 - 1
    places = np.unique(np.linspace(0, len(values) - read - run - 1, PLACES).astype(int))
    x = torch.stack([values[place : place + read] for place in places])
    answers, state = model(x, model.cell.init_state(len(x)))
    forecasts = [answers[:, -1:]]
    while len(forecasts) < run:
        answer, state = model(forecasts[-1], state)
        forecasts.append(answer)
    truth = torch.stack([values[place + read : place + read + run] for place in places])
    return truth, torch.cat(forecasts, 1)


def error_after(truth: Tensor, forecasts: Tensor, deviation: Tensor) -> Tensor:
    """Give the root of the mean squared error after each step, by the deviation of the series, `[steps]`."""
    return ((truth - forecasts) / deviation).square().mean((0, 2)).sqrt()
