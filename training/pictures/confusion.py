"""Which classes a model takes for which."""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from training.data.data import Data
from training.evaluate import chosen
from training.model import SequenceModel


def draw_confusion(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw, of each class of the test part, the share that was answered with each."""
    answers, targets = chosen(model, data.parts.test)
    counts = torch.zeros(data.classes, data.classes)
    counts.index_put_((targets, answers.argmax(-1)), torch.ones(len(targets)), accumulate=True)
    shares = counts / counts.sum(1, keepdim=True).clamp_min(1)
    figure = Figure(figsize=(5.5, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    names = data.labels or [str(number) for number in range(data.classes)]
    axes.set_xticks(range(len(names)), names, rotation=90 if data.labels else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set(title="share of each class", xlabel="answered", ylabel="true")
    figure.colorbar(shown)
    figure.savefig(path)
    return {}
