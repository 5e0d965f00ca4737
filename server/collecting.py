"""Models that need the whole sequence: what came of it is kept as it comes, and run when it is complete."""

from collections.abc import Iterator, Mapping, Sequence
from typing import final

import numpy as np

from models.manifest import Manifest
from models.runner import Runner
from models.tensors import NUMPY, fixed_shape
from server.types import Array, Arrays, Batch, Ints, Slots

Kept = Mapping[str, Sequence[Array]]


def nothing_kept(manifest: Manifest) -> dict[str, Array]:
    """Give what is kept of a sequence before its first step, `[0, …]` by the inputs' names; {} for a causal model."""
    if manifest.kind == "step":
        return {}
    return {spec.name: np.zeros((0, *fixed_shape(spec.shape[1:])), NUMPY[spec.dtype]) for spec in manifest.inputs}


@final
class Collecting:
    """Runs the rows of a batch that are complete.

    Args:
        runner: of a model of kind `sequence`.
        most_steps: rows times the longest row's steps that run together at most; a row that is longer runs alone.
    """

    def __init__(self, runner: Runner, *, most_steps: int) -> None:
        self._runner = runner
        self._most_steps = most_steps

    def run(self, batch: Batch, kept: Kept, told: Ints) -> tuple[Arrays, dict[str, list[Array]]]:
        """Give what complete rows are answered, zeros in the others, and what is kept of every row from now on.

        Args:
            batch: the steps that came, `[rows, time, …]`.
            kept: what came before, an array `[steps, …]` for each row by the inputs' names.
            told: steps that each row is answered, `[rows]`; 0 for those that are not complete.
        """
        whole = {
            name: [
                np.concatenate([before, array[:length]]) if len(before) else array[:length].copy()
                for before, array, length in zip(kept[name], batch.inputs[name], batch.lengths.tolist(), strict=True)
            ]
            for name in batch.inputs
        }
        pieces = [(rows, self._run(whole, told, rows)) for rows in self._alike(told)]
        # An end needs no room: what it completes is not kept any more.
        after = {
            name: [
                array[:0].copy() if complete else array for array, complete in zip(arrays, told.tolist(), strict=True)
            ]
            for name, arrays in whole.items()
        }
        return self._outputs(pieces, told), after

    def _run(self, whole: Kept, told: Ints, rows: Slots) -> Arrays:
        lengths = told[rows]
        inputs = {name: _padded([arrays[row] for row in rows.tolist()]) for name, arrays in whole.items()}
        return self._runner.run(inputs, lengths, {})[0]

    def _alike(self, told: Ints) -> Iterator[Slots]:
        """Part the complete rows into those of about one length, and those into what may run together."""
        complete = np.flatnonzero(told)
        sizes = np.frexp(told[complete])[1] if self._runner.manifest.lengths is not None else told[complete]
        for size in np.unique(sizes).tolist():
            rows = complete[sizes == size]
            together = max(1, self._most_steps // int(told[rows].max()))
            yield from (rows[first : first + together] for first in range(0, len(rows), together))

    def _outputs(self, pieces: Sequence[tuple[Slots, Arrays]], told: Ints) -> dict[str, Array]:
        outputs, longest = {}, int(told.max())
        for spec in self._runner.manifest.outputs:
            timed = spec.is_timed
            axes = (longest, *fixed_shape(spec.shape[1:])) if timed else fixed_shape(spec.shape)
            outputs[spec.name] = output = np.zeros((len(told), *axes), NUMPY[spec.dtype])
            for rows, found in pieces:
                array = found[spec.name]
                output[(rows, slice(array.shape[1])) if timed else rows] = array
        return outputs


def _padded(arrays: Sequence[Array]) -> Array:
    """Stack rows, zeros after the end of each."""
    padded = np.zeros((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded
