"""Music as it was written, above the probability that a model gave each key before it heard the frame."""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from training.data.data import Data
from training.model import SequenceModel

FRAMES = 120


@torch.no_grad()
def draw_piano_roll(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw the first piece of the test part."""
    piece = data.parts.test[0]
    answers, _ = model(torch.from_numpy(piece.inputs[None]), model.cell.init_state(1))
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    rolls = {
        "the piece": piece.targets[:FRAMES],
        "predicted from what came before": answers[0, :FRAMES].sigmoid().numpy(),
    }
    for axes, (title, roll) in zip(figure.subplots(len(rolls), 1, sharex=True), rolls.items(), strict=True):
        axes.imshow(roll.T, origin="lower", aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
        axes.set(title=title, ylabel="key")
    axes.set_xlabel("frame")
    figure.savefig(path)
    return {}
