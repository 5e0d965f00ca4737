"""Cuts a request for many sequences into chunks that may each run at once."""

import numpy as np

from models.manifest import Manifest
from server.catalogue import ServedModel
from server.types import Chunk, Slots


def size_of(manifest: Manifest, time: int) -> int:
    """Give the size of chunks that may run together: nearly as long, or as long where the graph takes no lengths."""
    return time if manifest.lengths is None else time.bit_length()


def same_tensors(one: ServedModel, other: ServedModel) -> bool:
    """Whether a request for one version can be run on the other."""
    return one is other or (one.manifest.inputs, one.manifest.outputs) == (
        other.manifest.inputs,
        other.manifest.outputs,
    )


def parts(chunk: Chunk, rows: Slots, model: ServedModel, max_batch: int) -> list[Chunk]:
    """Cut rows out of a chunk: those of one size together, `max_batch` at most; the chunk itself where that is all."""
    lengths = chunk.lengths[rows]
    sizes = lengths if model.manifest.lengths is None else np.frexp(lengths)[1]
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
