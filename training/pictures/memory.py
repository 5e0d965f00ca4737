"""What a network did with its memory, step by step, to give back the bits that it was asked for."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.architectures.differentiable_neural_computer import DifferentiableNeuralComputer
from training.architectures.neural_turing_machine import NeuralTuringMachine
from training.data.data import Data, Sequences
from training.data.series import Series
from training.evaluate import evaluate
from training.model import SequenceModel
from training.tasks.recall_bits import RecallBits

# More lengths than these are told in one figure, the recipe's.
MOST_LENGTHS = 8


def draw_memory(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw the longest sequence of the test part; gives the wrong bits of those of each length."""
    longest = max(data.parts.test, key=lambda one: len(one.inputs))
    shown = panels(model, longest)
    figure = Figure(figsize=(8, 2 + 1.8 * len(shown)), dpi=120, layout="constrained")
    for axes, (title, image) in zip(figure.subplots(len(shown), 1, sharex=True), shown.items(), strict=True):
        axes.imshow(image.T, aspect="auto", cmap="Greys", vmin=0, interpolation="nearest")
        axes.set(title=title, ylabel="bit" if title.startswith("what was") else "slot")
    axes.set_xlabel("step")
    figure.savefig(path)
    return {f"wrong_bits_in_{steps}_steps": evaluate(model, RecallBits(), of).figure for steps, of in _by_steps(data)}


@torch.no_grad()
def panels(model: SequenceModel, series: Series) -> dict[str, np.ndarray]:
    """Give what is shown of a sequence, by its title, `[steps, rows]` each."""
    state, answers, states = model.begin(1), [], []
    for x in torch.split(torch.from_numpy(series.inputs[None]), 1, 1):
        answer, state = model(x, state)
        answers.append(answer[0, 0].sigmoid())
        states.append(state)
    asked = ~np.isnan(series.targets)
    shown = {
        "what was read": series.inputs[:, : model.outputs],
        "what was asked for": np.where(asked, series.targets, 0),
        "what was answered": np.where(asked, torch.stack(answers).numpy(), 0),
    }
    cell = model.cell
    if isinstance(cell, NeuralTuringMachine | DifferentiableNeuralComputer):
        memory = {name: torch.cat([state[name] for state in states]) for name in states[0]}
        if isinstance(cell, NeuralTuringMachine):
            read, wrote = memory["w"][:, : cell.reads], memory["w"][:, cell.reads :]
        else:
            read, wrote = memory["w_r"], memory["w_w"][:, None]
        shown["where it wrote"] = _of_heads(wrote)
        shown["what it kept, by its length"] = memory["M"].norm(dim=-1).numpy()
        shown["where it read"] = _of_heads(read)
    return shown


def _of_heads(w: Tensor) -> np.ndarray:
    """Lay the weights of several heads, `[steps, heads, slots]`, over each other."""
    return np.asarray(w.amax(1))


def _by_steps(data: Data) -> list[tuple[int, Sequences]]:
    lengths = sorted({len(one.inputs) for one in data.parts.test})
    if len(lengths) > MOST_LENGTHS:
        return []
    return [(length, [one for one in data.parts.test if len(one.inputs) == length]) for length in lengths]
