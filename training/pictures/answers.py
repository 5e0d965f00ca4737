"""Numbers that were asked for, beside those that were answered."""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from training.architectures.output_recurrence import OutputRecurrence
from training.data.data import Data
from training.data.series import Series
from training.evaluate import chosen
from training.forcing import forced
from training.model import SequenceModel

STEPS = 200


def draw_answers(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw the answers to the test part; of a network that reads its own output, gives the error when it is forced."""
    answers, targets = (array.numpy() for array in chosen(model, data.parts.test))
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    if data.parts.test[0].is_stepwise:
        axes.plot(targets[:STEPS, 0], color="0.6", linewidth=3, label="asked for")
        axes.plot(answers[:STEPS, 0], color="C3", linewidth=1, label="answered")
        axes.legend(loc="upper right")
        axes.set(xlabel="steps")
    else:
        axes.scatter(targets[:, 0], answers[:, 0], s=6)
        axes.axline((float(targets[0, 0]),) * 2, slope=1, color="0.6", linewidth=1)
        axes.set(xlabel="asked for", ylabel="answered")
    figure.savefig(path)
    return {"teacher_forced": _forced_error(model, data.parts.test[0])} if _reads_itself(model) else {}


def _reads_itself(model: SequenceModel) -> bool:
    return isinstance(model.cell, OutputRecurrence) and model.readout is None


@torch.no_grad()
def _forced_error(model: SequenceModel, series: Series) -> float:
    """Give the mean squared error where each step reads the true output before it."""
    assert isinstance(model.cell, OutputRecurrence)
    targets = torch.from_numpy(series.targets[None])
    truth = targets if model.units is None else model.units.leave(targets)
    x = model.embedding(torch.from_numpy(series.inputs[None]))
    ys, _ = forced(model.cell, x, truth, model.cell.init_state(1), 1.0)
    return float((model.answer(ys) - targets).square().mean())
