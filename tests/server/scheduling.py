"""Chunks of zeros for tests of the scheduler: it looks at rows, times and moments, and at no values."""

from collections.abc import Sequence

import numpy as np

from server.types import UNNUMBERED, Chunk, ModelKey, Scope, SequenceId

MODEL = ModelKey("a", 1)


def asked(
    *ids: SequenceId,
    rows: int | None = None,
    time: int = 1,
    lengths: Sequence[int] | None = None,
    model: ModelKey = MODEL,
    start: Sequence[SequenceId] = (),
    **fields,
) -> Chunk:
    """Ask for a step of each sequence, or for rows that are not kept."""
    rows = len(ids) if rows is None else rows
    starts = np.array([sequence in start for sequence in ids] or [False] * rows)
    times = np.array([time] * rows if lengths is None else lengths)
    longest = int(times.max())
    return Chunk(
        model=model,
        scope=Scope("", model.name),
        ids=ids,
        inputs={},
        lengths=times,
        time=longest,
        start=starts,
        starts=bool(starts.any()),
        end=np.zeros(rows, np.bool_),
        steps=np.full(rows, UNNUMBERED),
        lives=np.zeros(rows, np.uint64),
        done=lambda chunk, answer: None,
        **{"size": longest.bit_length()} | fields,
    )
