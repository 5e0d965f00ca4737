"""Sequences written from a source: what each step looked at or pointed to, and how well it goes with longer sources."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from training.architectures.encoder_decoder import AttentionDecoder
from training.architectures.pointer import Pointer
from training.cell import Source, State
from training.data.data import Data
from training.data.series import Series
from training.model import SequenceModel
from training.tasks import TASKS
from training.tasks.rewrite import Writing

ALIGNED, BINS, SOONEST = 2, 8, 8


class Alignment(NamedTuple):
    """What was written, without its end, and how much of each place of the source each step read, `[time, source]`.

    Of a pointer it is the probability that the step points there; what a row lacks to 1 is the end's.
    """

    symbols: list[int]
    weights: Tensor


def draw_writing(task: str, path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw alignments where steps look at the source or point to it, and the task's figure by the source's length."""
    assert data.edge is not None
    kind = TASKS[task].build(model, data)
    assert isinstance(kind, Writing)
    shown = [one for one in data.parts.test if _source_of(one).size >= SOONEST] or list(data.parts.test)
    count = min(ALIGNED, len(shown)) if isinstance(model.cell, AttentionDecoder | Pointer) else 0
    figure = Figure(figsize=(5 + 4.5 * count, 4.5), dpi=120, layout="constrained")
    *aligned, by_length = np.atleast_1d(figure.subplots(1, count + 1))
    for axes, series in zip(aligned, shown, strict=False):
        found = align(model, series, edge=data.edge)
        _draw_alignment(axes, found, _source_of(series), data, points=isinstance(model.cell, Pointer))
    _draw_by_length(by_length, kind, model, data.parts.test)
    figure.savefig(path)
    return {}


@torch.no_grad()
def align(model: SequenceModel, series: Series, *, edge: int) -> Alignment:
    """Write from one source, the most probable symbol each time, and note where each step looked."""
    cell = model.cell
    assert isinstance(cell, AttentionDecoder | Pointer)
    source = torch.from_numpy(_source_of(series))[None]
    state: State = model.begin(1, Source(source, torch.tensor([source.shape[1]])))
    symbols = [edge]
    weights: list[Tensor] = []
    while len(weights) < 2 * source.shape[1] + SOONEST:
        x = model.embedding(torch.tensor([[symbols[-1]]]))[:, 0]
        y, after = cell.step(x, state)
        weights.append(cell.looks(x, state)[0])
        symbols.append(int(model.answer(y).argmax()))
        if symbols[-1] == edge:
            break
        state = after
    return Alignment(symbols[1:-1] if symbols[-1] == edge else symbols[1:], torch.stack(weights))


def _draw_alignment(axes: Axes, found: Alignment, source: np.ndarray, data: Data, *, points: bool) -> None:
    """Draw the source across and what was written down; of what points, the symbols of the source pointed to."""
    rows = found.weights[: len(found.symbols)].numpy()
    places = _texts(source.tolist(), data.source_vocabulary)
    written = [places[place] for place in found.symbols] if points else _texts(found.symbols, data.vocabulary)
    axes.imshow(rows, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), places, rotation=90, fontsize=7)
    axes.set_yticks(range(len(written)), written, fontsize=7)
    axes.set(xlabel="source", ylabel="pointed to" if points else "written")


def _draw_by_length(axes: Axes, task: Writing, model: SequenceModel, series: Sequence[Series]) -> None:
    lengths = np.array([_source_of(one).size for one in series])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, BINS + 1)).astype(int))
    places = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, max(0, len(edges) - 2))
    middles, figures = [], []
    for place in np.unique(places):
        some = [one for one, own in zip(series, places, strict=True) if own == place]
        middles.append(lengths[places == place].mean())
        figures.append(task.freely(model, some))
    axes.plot(middles, figures, marker="o")
    axes.set(xlabel="length of the source", ylabel=task.metric.replace("_", " "))
    axes.set_ylim(0, 1.05 * max(figures) or 1)


def _texts(symbols: Sequence[int], vocabulary: Sequence[str]) -> list[str]:
    return [vocabulary[symbol] if vocabulary else str(symbol) for symbol in symbols]


def _source_of(series: Series) -> np.ndarray:
    assert series.context is not None
    return series.context
