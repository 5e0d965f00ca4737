"""Trees of sentences, each node with what the model takes it for."""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.architectures.trees import Trees, read_trees
from training.data.data import Data
from training.data.series import Series
from training.model import SequenceModel

SHOWN, NODES = 2, 23


def draw_parses(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw some trees of the test part, coloured from the first class to the last."""
    shown = sorted(data.parts.test, key=lambda one: abs(len(one.inputs) - NODES))[:SHOWN]
    figure = Figure(figsize=(7 * len(shown), 5), dpi=120, layout="constrained")
    for axes, one in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw(axes, model, one, data)
    figure.savefig(path)
    return {}


@torch.no_grad()
def _draw(axes: Axes, model: SequenceModel, one: Series, data: Data) -> None:
    x = torch.from_numpy(one.inputs)[None]
    answers, _ = model(x, model.begin(1))
    classes = torch.arange(data.classes) / max(1, data.classes - 1)
    takes = (answers[0].softmax(-1) * classes).sum(-1)
    # Where a step has its node's children too, its symbol tells as much.
    symbols = one.inputs if one.inputs.ndim == 1 else one.inputs[:, 0]
    trees = read_trees(torch.from_numpy(symbols)[None], data.symbols - 1, len(symbols), None)
    assert trees is not None
    across, up = places(trees, len(one.inputs))
    for node in range(len(one.inputs)):
        for child in (int(trees.left[node]), int(trees.right[node])):
            if child < len(one.inputs):
                axes.plot([across[node], across[child]], [up[node], up[child]], color="0.7", linewidth=1, zorder=1)
    axes.scatter(across, up, c=takes.numpy(), cmap="RdYlGn", vmin=0, vmax=1, s=60, edgecolors="0.4", zorder=2)
    for word in trees.levels[0].tolist():
        text = data.vocabulary[int(symbols[word])] if data.vocabulary else str(int(symbols[word]))
        axes.text(across[word], -0.4, text, rotation=60, ha="right", va="top", fontsize=8)
    names = data.labels or [str(number) for number in range(data.classes)]
    axes.set_title(f"{names[int(answers[0, -1].argmax())]} (true: {names[int(one.targets[-1])]})", fontsize=9)
    axes.set_axis_off()
    axes.set_ylim(bottom=-3)


def places(trees: Trees, nodes: int) -> tuple[list[float], list[int]]:
    """Give each node's place across, words in their order and parents between their children, and its level."""
    across, up = [0.0] * nodes, [0] * nodes
    for level, members in enumerate(trees.levels):
        for number, node in enumerate(members.tolist()):
            up[node] = level
            left, right = int(trees.left[node]), int(trees.right[node])
            across[node] = (across[left] + across[right]) / 2 if level else float(number)
    return across, up
