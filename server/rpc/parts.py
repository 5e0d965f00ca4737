"""Cuts a request for many sequences into chunks that may each run at once."""

import numpy as np

from server.catalogue import ServedModel
from server.signature import Signature
from server.types import Chunk, Slots


def size_of(signature: Signature, time: int) -> int:
    """Give the size of chunks that may run together: nearly as long, or as long where the graph takes no lengths."""
    return time.bit_length() if signature.ragged else time


def same_tensors(one: ServedModel, other: ServedModel) -> bool:
    """Whether a request for one version can be run on the other."""
    return one is other or one.runtime.signatures == other.runtime.signatures


def parts(chunk: Chunk, rows: Slots, model: ServedModel, max_batch: int) -> list[Chunk]:
    """Cut rows out of a chunk: those of one size together, `max_batch` at most; the chunk itself where that is all."""
    lengths = chunk.lengths[rows]
    sizes = np.frexp(lengths)[1] if model.runtime.signatures[chunk.part].ragged else lengths
    if len(rows) == chunk.rows <= max_batch and model.key == chunk.model and (sizes == chunk.size).all():
        return [chunk]
    cuts = []
    for size in np.unique(sizes).tolist():
        alike = rows[sizes == size]
        for first in range(0, len(alike), max_batch):
            cut = chunk.cut_out(alike[first : first + max_batch])
            cut.model, cut.size = model.key, size
            cuts.append(cut)
    return cuts
