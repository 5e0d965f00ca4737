"""Digests of what a numbered row was given, by which a request that comes again is known."""

import numpy as np
from xxhash import xxh3_64_intdigest

from server.signature import Signature
from server.types import Chunk


def life_of(incarnation: str | bytes) -> int:
    """Give the number that stands for a `recur_incarnation`; 0, that of the empty one, for none."""
    return (xxh3_64_intdigest(incarnation) or 1) if incarnation else 0


def digests(chunk: Chunk, signature: Signature) -> list[int]:
    """Digest each row: its inputs in the model's order up to its length, the length, START and END."""
    if chunk.digests is not None:
        given: list[int] = chunk.digests.tolist()
        return given
    found: list[int] = (chunk.lengths * 4 + chunk.start * 2 + chunk.end).tolist()
    for spec in signature.inputs:
        array = chunk.inputs[spec.name]
        timed = spec.is_timed
        if timed and int(chunk.lengths.min()) < array.shape[1]:
            lengths = chunk.lengths.tolist()
            rows = [array[row, :length].tobytes() for row, length in enumerate(lengths)]
        else:
            data, size = array.tobytes(), array.nbytes // len(found)
            rows = [data[first : first + size] for first in range(0, len(data), size)]
        found = [xxh3_64_intdigest(row, seed) for row, seed in zip(rows, found, strict=True)]
    for array in chunk.starting.values():
        shape = str(array.shape[1:]).encode()
        for row in np.flatnonzero(chunk.start).tolist():
            found[row] = xxh3_64_intdigest(shape + array[row].tobytes(), found[row])
    return found
