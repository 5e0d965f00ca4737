"""Labels of longer sequences: what a transducer put out, and when."""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.data.data import Data
from training.data.series import Series
from training.model import SequenceModel
from training.tasks.transcribe import transcribed, transducer_of

SHOWN = 3


def draw_transcripts(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw some sequences of the test part; gives the share of all that are right from the first label to the last."""
    shown = data.parts.test[:SHOWN]
    figure = Figure(figsize=(10, 2.6 * len(shown)), dpi=120, layout="constrained")
    for axes, one in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        _draw_transcript(axes, model, one, data.labels)
    figure.savefig(path)
    pairs = transcribed(model, data.parts.test)
    return {"sequences_right": sum([label for label, _ in does] == should for does, should in pairs) / len(pairs)}


def _draw_transcript(axes: Axes, model: SequenceModel, one: Series, labels: tuple[str, ...]) -> None:
    """Draw the steps across, what was heard above, and below how probable a label was; each stands where it came."""
    [(does, should)] = transcribed(model, [one])
    axes.imshow(one.inputs.T, aspect="auto", origin="lower", cmap="Greys", extent=(-0.5, len(one.inputs) - 0.5, 0, 1))
    axes.plot(_emitting(model, one).numpy(), color="tab:orange", label="probability of a label")
    for label, step in does:
        axes.axvline(step, color="tab:blue", linewidth=0.8)
        axes.text(step, 1.02, labels[label], ha="center", color="tab:blue")
    axes.set(ylim=(0, 1), xlabel="step", yticks=(0, 0.5, 1))
    axes.set_title(f"true: {' '.join(labels[label] for label in should)}", loc="left", pad=16, fontsize=9)
    axes.legend(loc="lower right", fontsize=7)


@torch.no_grad()
def _emitting(model: SequenceModel, one: Series) -> torch.Tensor:
    """Give how probable it was at each step that a label comes first, `[time]`."""
    answers, _ = model.eval()(torch.from_numpy(one.inputs)[None], model.begin(1))
    turns = answers[0].reshape(len(one.inputs), transducer_of(model).most, -1)
    emitting: torch.Tensor = 1 - turns[:, 0].softmax(-1)[:, -1]
    return emitting
