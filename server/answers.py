"""What a turn has to say to each of its chunks."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from models.manifest import Decode, TensorSpec
from server.errors import RecurError
from server.generation import draw
from server.sampling import Drawn, Draws
from server.signature import Signature
from server.spread import cut, put_together
from server.turn import Turn, joined
from server.types import Answer, Arrays, Chunk, Ints, Slots

NOTHING: Arrays = MappingProxyType({})


class Piece(NamedTuple):
    """The outputs of some of a turn's rows, `[rows, time, …]` by name, and the sizes of those that have a free axis."""

    rows: Slots
    outputs: Arrays
    sizes: Mapping[str, Ints] = MappingProxyType({})


def answers(signature: Signature, turn: Turn, pieces: Sequence[Piece]) -> Iterable[tuple[Chunk, Answer]]:
    """Give each chunk its answer: cut from the outputs where all rows ran together, else put together row by row.

    Args:
        signature: of the part that ran.
        turn: the rows, and what was decided of each.
        pieces: what the rows that ran gave.
    """
    specs, told = signature.outputs, turn.told() if signature.whole else None
    if len(pieces) == 1 and not turn.errors and not turn.replays:
        yield from _cut(signature, turn, pieces[0], told)
        return
    for chunk, first, stop in turn.chunk_rows():
        positions = turn.positions[first:stop]
        replayed = np.zeros(stop - first, np.bool_)
        replayed[[row - first for row in turn.replays if first <= row < stop]] = True
        errors = {row - first: error for row, error in turn.errors.items() if first <= row < stop}
        time = chunk.time if told is None else _longest(specs, turn, told, first, stop)
        yield chunk, Answer(_put_together(signature, turn, pieces, time, first, stop), positions, replayed, errors)


def refused(chunk: Chunk, error: RecurError) -> Answer:
    """Answer all rows of a chunk with one error."""
    return Answer({}, np.zeros(chunk.rows, np.int64), None, dict.fromkeys(range(chunk.rows), error))


def _longest(specs: Sequence[TensorSpec], turn: Turn, told: Ints, first: int, stop: int) -> int:
    """How many steps the longest of a chunk's rows is answered."""
    timed = [spec.name for spec in specs if spec.is_timed]
    again = [len(stored.outputs[name]) for row, stored in turn.replays.items() if first <= row < stop for name in timed]
    unanswered = turn.replays.keys() | turn.errors.keys()
    return max([0, *again, *(told.item(row) for row in range(first, stop) if row not in unanswered)])


def _cut(signature: Signature, turn: Turn, piece: Piece, told: Ints | None) -> Iterable[tuple[Chunk, Answer]]:
    positions, outputs = turn.positions, piece.outputs
    tensors = [(spec.name, outputs[spec.name], spec.is_timed) for spec in signature.outputs]
    drawn, given = _drawn(signature.decode, turn, outputs), 0
    for chunk, first, stop in turn.chunk_rows():
        if chunk.draws is not None and drawn is not None:
            own, given = slice(given, given + stop - first), given + stop - first
            yield chunk, Answer(NOTHING, positions[first:stop], drawn=drawn.rows(own))
            continue
        time = chunk.time if told is None else int(told[first:stop].max())
        found: Arrays = {
            name: array[first:stop, :time] if timed else array[first:stop] for name, array, timed in tensors
        }
        if signature.spreads:
            found = cut(found, signature.spreads, piece.sizes, first, stop)
        yield chunk, Answer(found, positions[first:stop])


def _drawn(decode: Decode | None, turn: Turn, outputs: Arrays) -> Drawn | None:
    """Draw what the chunks ask for, all together: apart it takes longer than the model."""
    asked = [(chunk.draws, first, stop) for chunk, first, stop in turn.chunk_rows() if chunk.draws is not None]
    if decode is None or not asked:
        return None
    answered = outputs[decode.output]
    if len(asked) == len(turn.chunks) and answered.shape[1] == 1:
        last = answered[:, 0]
    else:
        rows = joined([np.arange(first, stop) for _, first, stop in asked])
        last = answered[rows, turn.lengths[rows] - 1]
    return draw(decode, last, Draws.joined([draws for draws, _, _ in asked]))


def _put_together(
    signature: Signature, turn: Turn, pieces: Sequence[Piece], time: int, first: int, stop: int
) -> Arrays:
    """Outputs of one chunk: rows that ran, rows that are answered again, zeros for the others."""
    stored = turn.replays.get(first)
    if stored is not None and stop - first == 1 and stored.outputs.keys() != {spec.name for spec in signature.outputs}:
        # A request that was answered with more than its last step: the one that comes again is the same.
        return {name: array[None] for name, array in stored.outputs.items()}
    found = [_of_chunk(signature, turn, piece, first, stop) for piece in pieces]
    again = {row - first: stored.outputs for row, stored in turn.replays.items() if first <= row < stop}
    return {
        spec.name: put_together(
            spec,
            stop - first,
            time,
            [
                *((places, some[spec.name][:, :time] if spec.is_timed else some[spec.name]) for places, some in found),
                *((np.array([row]), outputs[spec.name][None]) for row, outputs in again.items()),
            ],
        )
        for spec in signature.outputs
    }


def _of_chunk(signature: Signature, turn: Turn, piece: Piece, first: int, stop: int) -> tuple[Slots, Arrays]:
    """Give the rows of a piece that are a chunk's, by their places in it."""
    here = np.flatnonzero((piece.rows >= first) & (piece.rows < stop) & ~np.isin(piece.rows, list(turn.errors)))
    outputs: Arrays = {name: array[here] for name, array in piece.outputs.items()}
    if signature.spreads:
        sizes = {name: of[here] for name, of in piece.sizes.items()}
        outputs = cut(outputs, signature.spreads, sizes, 0, len(here))
    return piece.rows[here] - first, outputs
