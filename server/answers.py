"""What a turn has to say to each of its chunks."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from models.manifest import TensorSpec
from models.tensors import NUMPY, TIME, fixed_shape
from server.errors import RecurError
from server.turn import Turn
from server.types import Answer, Arrays, Chunk, Slots, Stored


class Piece(NamedTuple):
    """The outputs of some of a turn's rows, `[rows, time, …]` by name."""

    rows: Slots
    outputs: Arrays


def answers(specs: Sequence[TensorSpec], turn: Turn, pieces: Sequence[Piece]) -> Iterable[tuple[Chunk, Answer]]:
    """Give each chunk its answer: cut from the outputs where all rows ran together, else put together row by row.

    Args:
        specs: the outputs of the part that ran.
        turn: the rows, and what was decided of each.
        pieces: what the rows that ran gave.
    """
    if len(pieces) == 1 and not turn.errors and not turn.replays:
        yield from _cut(specs, turn, pieces[0].outputs)
        return
    for chunk, first, stop in turn.chunk_rows():
        positions = turn.positions[first:stop]
        replayed = np.zeros(stop - first, np.bool_)
        replayed[[row - first for row in turn.replays if first <= row < stop]] = True
        errors = {row - first: error for row, error in turn.errors.items() if first <= row < stop}
        yield chunk, Answer(_put_together(specs, turn, pieces, chunk, first, stop), positions, replayed, errors)


def refused(chunk: Chunk, error: RecurError) -> Answer:
    """Answer all rows of a chunk with one error."""
    return Answer({}, np.zeros(chunk.rows, np.int64), None, dict.fromkeys(range(chunk.rows), error))


def _cut(specs: Sequence[TensorSpec], turn: Turn, outputs: Arrays) -> Iterable[tuple[Chunk, Answer]]:
    positions = turn.positions
    tensors = [(spec.name, outputs[spec.name], spec.shape[:1] == (TIME,)) for spec in specs]
    for chunk, first, stop in turn.chunk_rows():
        time = chunk.time
        found = {name: array[first:stop, :time] if timed else array[first:stop] for name, array, timed in tensors}
        yield chunk, Answer(found, positions[first:stop])


def _put_together(
    specs: Sequence[TensorSpec], turn: Turn, pieces: Sequence[Piece], chunk: Chunk, first: int, stop: int
) -> Arrays:
    """Outputs of one chunk: rows that ran, rows that are answered again, zeros for the others."""
    outputs = {}
    for spec in specs:
        timed = spec.shape[:1] == (TIME,)
        axes = (chunk.time, *fixed_shape(spec.shape[1:])) if timed else fixed_shape(spec.shape)
        outputs[spec.name] = output = np.zeros((stop - first, *axes), NUMPY[spec.dtype])
        for rows, found in pieces:
            here = (rows >= first) & (rows < stop) & ~np.isin(rows, list(turn.errors))
            part = found[spec.name][here]
            output[rows[here] - first] = part[:, : chunk.time] if timed else part
        for row, stored in turn.replays.items():
            if first <= row < stop:
                _replay(output, row - first, stored, spec.name, timed=timed)
    return outputs


def _replay(output: np.ndarray, row: int, stored: Stored, name: str, *, timed: bool) -> None:
    found = stored.outputs[name]
    output[(row, slice(len(found))) if timed else row] = found
