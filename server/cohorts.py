"""Chunks that go on at the same time: those of one cohort do so as one, which costs little more than one row alone."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from server.columns import constant, no_flags
from server.sampling import Draws
from server.turn import joined
from server.types import Chunk, Cohort


def together(chunks: Sequence[Chunk], most: int) -> Iterable[Chunk]:
    """Let the chunks of each cohort be one, of so many rows at most."""
    cohorts: dict[Cohort, list[Chunk]] = {}
    for chunk in chunks:
        if chunk.cohort is None:
            yield chunk
        else:
            cohorts.setdefault(chunk.cohort, []).append(chunk)
    for cohort, several in cohorts.items():
        for some in _packed(several, most):
            yield cohort.join(some)


def one_chunk(chunks: Sequence[Chunk]) -> Chunk:
    """Put the rows of chunks of one step after one another; they are alike but for what each row has of its own."""
    if len(chunks) == 1:
        return chunks[0]
    rows = sum([chunk.rows for chunk in chunks])
    return msgspec.structs.replace(
        chunks[0],
        ids=[sequence for chunk in chunks for sequence in chunk.ids],
        inputs={name: np.concatenate([chunk.inputs[name] for chunk in chunks]) for name in chunks[0].inputs},
        lengths=constant(1, rows),
        start=no_flags(rows),
        end=no_flags(rows),
        steps=np.concatenate([chunk.steps for chunk in chunks]),
        lives=np.concatenate([chunk.lives for chunk in chunks]),
        place=joined([chunk.place for chunk in chunks if chunk.place is not None]),
        digests=joined([chunk.digests for chunk in chunks if chunk.digests is not None]),
        before=joined([chunk.before for chunk in chunks if chunk.before is not None]),
        draws=Draws.joined([chunk.draws for chunk in chunks if chunk.draws is not None]),
        plain=all(chunk.plain for chunk in chunks),
        held=any(chunk.held for chunk in chunks),
    )


def _packed(chunks: Sequence[Chunk], most: int) -> Iterable[Sequence[Chunk]]:
    """Group chunks one after another, each group of so many rows at most."""
    group: list[Chunk] = []
    for chunk in chunks:
        if group and sum(one.rows for one in group) + chunk.rows > most:
            yield group
            group = []
        group.append(chunk)
    yield group
