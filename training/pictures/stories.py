"""Questions to a memory of sentences: what each reading of it looked at, and whether that was its fact."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.architectures.memory_network import MemoryNetwork
from training.data.data import Data
from training.data.series import Series
from training.model import SequenceModel

SHOWN, LONGEST = 2, 14


def draw_stories(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw some stories of the test part; gives the share of all stories' facts that their hops looked at most."""
    shown = sorted(data.parts.test, key=lambda one: abs(len(one.inputs) - LONGEST))[:SHOWN]
    figure = Figure(figsize=(7 * len(shown), 5), dpi=120, layout="constrained")
    for axes, one in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw_story(axes, model, one, data.vocabulary)
    figure.savefig(path)
    found = [place for one in data.parts.test for place in followed(model, one)]
    return {"facts_looked_at": sum(found) / len(found)} if found else {}


def _draw_story(axes: Axes, model: SequenceModel, one: Series, vocabulary: Sequence[str]) -> None:
    """Draw the sentences down, the hops across, a dot on the fact of each hop."""
    shares, answer = looked_at(model, one)
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    kept, asked = one.inputs[:-1][len(one.inputs) - 1 - len(shares) :], one.inputs[-1]
    for hop, place in enumerate(_facts(one, shares)):
        if place >= 0:
            axes.plot(hop, place, "o", color="tab:orange")
    axes.set_yticks(range(len(kept)), [_text(sentence, vocabulary) for sentence in kept], fontsize=8)
    axes.set_xticks(range(shares.shape[1]), [f"hop {hop + 1}" for hop in range(shares.shape[1])])
    right = vocabulary[int(one.targets)]
    axes.set_title(f"{_text(asked, vocabulary)}? {vocabulary[answer]} (true: {right})", fontsize=9)


def followed(model: SequenceModel, one: Series) -> list[bool]:
    """Say of each fact of a story whether its hop looked at it most."""
    shares, _ = looked_at(model, one)
    return [int(shares[:, hop].argmax()) == place for hop, place in enumerate(_facts(one, shares))]


def _facts(one: Series, shares: torch.Tensor) -> list[int]:
    """Give the fact of each hop that has one, its place among the sentences that are kept; below 0 if it is not."""
    forgotten = len(one.inputs) - 1 - len(shares)
    return [] if one.facts is None else [place - forgotten for place in one.facts[: shares.shape[1]].tolist()]


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
