"""Puts rows of a turn together as the arrays of one batch."""

from collections.abc import Sequence

import numpy as np

from server.signature import Signature
from server.turn import Turn
from server.types import Array, Arrays, Batch, Slots, Starting


def assemble(signature: Signature, turn: Turn, rows: Slots) -> Batch:
    """Put rows of a turn together, padded with zeros to the longest."""
    longest = max(chunk.time for chunk in turn.chunks)
    inputs = {
        spec.name: _stack([chunk.inputs[spec.name] for chunk in turn.chunks], longest if spec.is_timed else None)
        for spec in signature.inputs
    }
    batch = Batch(
        turn.slots,
        turn.fresh,
        inputs,
        turn.lengths,
        turn.positions,
        turn.numbered,
        turn.digests,
        turn.lives,
        turn.part,
        turn.plain,
        longest,
        spans=turn.spans,
        told=turn.told() if signature.whole else None,
        sources=turn.sources,
    )
    if len(rows) < len(turn.slots):
        batch = batch.of(rows)
    return batch._replace(starting=_starting(turn, rows)) if signature.starting and turn.fresh.any() else batch


def _starting(turn: Turn, rows: Slots) -> Sequence[Starting]:
    """Give what the start graph takes of the rows that begin, those of the same shapes together."""
    alike: dict[tuple[tuple[int, ...], ...], list[tuple[int, Arrays]]] = {}
    for number, row in enumerate(rows.tolist()):
        chunk, place = turn.place(row)
        if turn.fresh[row]:
            given = {name: array[place] for name, array in chunk.starting.items()}
            alike.setdefault(tuple([array.shape for array in given.values()]), []).append((number, given))
    return [
        Starting(
            np.array([number for number, _ in some], np.intp),
            {name: np.stack([given[name] for _, given in some]) for name in some[0][1]},
        )
        for some in alike.values()
    ]


def _stack(arrays: Sequence[Array], time_: int | None) -> Array:
    """Concatenate over rows; `[rows, time, …]` padded with zeros or cut to one time."""
    if time_ is None or all(array.shape[1] == time_ for array in arrays):
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    rows = sum(len(array) for array in arrays)
    stacked = np.zeros((rows, time_, *arrays[0].shape[2:]), arrays[0].dtype)
    row = 0
    for array in arrays:
        stacked[row : row + len(array), : array.shape[1]] = array[:, :time_]
        row += len(array)
    return stacked
