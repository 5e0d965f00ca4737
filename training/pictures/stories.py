"""Questions to a memory of sentences: what each reading of it looked at."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure

from training.architectures.memory_network import MemoryNetwork
from training.data.data import Data
from training.data.series import Series
from training.model import SequenceModel

SHOWN, LONGEST = 2, 14


def draw_stories(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw some stories of the test part, the sentences down, the hops across."""
    shown = sorted(data.parts.test, key=lambda one: abs(len(one.inputs) - LONGEST))[:SHOWN]
    figure = Figure(figsize=(7 * len(shown), 5), dpi=120, layout="constrained")
    for axes, one in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        told, asked = one.inputs[:-1], one.inputs[-1]
        shares, answer = looked_at(model, one)
        axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        kept = told[len(told) - len(shares) :]
        axes.set_yticks(range(len(kept)), [_text(sentence, data.vocabulary) for sentence in kept], fontsize=8)
        axes.set_xticks(range(shares.shape[1]), [f"hop {hop + 1}" for hop in range(shares.shape[1])])
        right = data.vocabulary[int(one.targets)]
        axes.set_title(f"{_text(asked, data.vocabulary)}? {data.vocabulary[answer]} (true: {right})", fontsize=9)
    figure.savefig(path)
    return {}


@torch.no_grad()
def looked_at(model: SequenceModel, one: Series) -> tuple[torch.Tensor, int]:
    """Give what each hop read of each sentence that is kept, `[sentences, hops]`, and the answer."""
    cell = model.cell
    assert isinstance(cell, MemoryNetwork)
    story = torch.from_numpy(one.inputs)[None]
    _, state = cell.scan(story[:, :-1], cell.init_state(1))
    shares = torch.cat(cell.looks(story[:, -1], state)).T
    answer, _ = cell.step(story[:, -1], state)
    return shares[cell.slots - int(state["count"]) :], int(answer.argmax())


def _text(sentence: Sequence[int], vocabulary: Sequence[str]) -> str:
    return " ".join(vocabulary[int(word)] for word in sentence if word)
