"""Computes a batch: gather, run, check that all is finite, commit; called off the event loop."""

import math
import time
from collections.abc import Sequence
from typing import final

import numpy as np

from models.manifest import Manifest
from models.runner import Runner
from models.tensors import TIME
from server.stores.base import StateStore
from server.turn import Turn
from server.types import Array, Arrays, Batch, BatchResult, Flags, Ints, Slots


def assemble(manifest: Manifest, turn: Turn, rows: Slots) -> Batch:
    """Put rows of a turn together, padded with zeros to the longest."""
    longest = max(chunk.time for chunk in turn.chunks)
    inputs = {
        spec.name: _stack(
            [chunk.inputs[spec.name] for chunk in turn.chunks], longest if spec.shape[:1] == (TIME,) else None
        )
        for spec in manifest.inputs
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
    )
    return batch if len(rows) == len(turn.slots) else batch.of(rows)


@final
class Runtime:
    """A model version's graph and its states."""

    def __init__(self, runner: Runner, store: StateStore) -> None:
        self._runner = runner
        self._store = store
        self._allow_nonfinite = runner.manifest.allow_nonfinite
        self._seconds_per_step = math.inf

    def run(self, batch: Batch) -> BatchResult:
        """Advance every row and keep its next state.

        A row whose input, output or next state is not finite is not committed: some operators make a number of NaN.
        Whatever raises leaves all states as they were.
        """
        began = time.perf_counter()
        states = self._store.gather(batch.slots, batch.fresh)
        gathered = time.perf_counter()
        outputs, next_states = self._compute(batch, states)
        computed = time.perf_counter()
        finite = None if self._allow_nonfinite else self._finite_rows(batch, [*outputs.values(), *next_states.values()])
        if batch.part != "peek":
            self._store.commit(batch, outputs, next_states, _kept(batch, finite))
        committed = time.perf_counter()
        self._seconds_per_step = (committed - began) / _steps(batch)
        seconds = {"gather": gathered - began, "compute": computed - gathered, "scatter": committed - computed}
        return BatchResult(outputs, finite, seconds)

    def _compute(self, batch: Batch, states: Arrays) -> tuple[Arrays, Arrays]:
        return self._runner.run(batch.inputs, batch.lengths, states)

    def _finite_rows(self, batch: Batch, found: Sequence[Array]) -> Flags | None:
        """Which rows are finite, up to their lengths; None where all are, which one look at each array shows."""
        floats = [array for array in (*batch.inputs.values(), *found) if array.dtype.kind == "f"]
        with np.errstate(over="ignore", invalid="ignore"):
            if all(_is_finite(array) for array in floats):
                return None
        finite = np.ones(len(batch.lengths), np.bool_)
        for spec in self._runner.manifest.inputs:
            array = batch.inputs[spec.name]
            if array.dtype.kind == "f":
                finite &= _finite_given(array, batch.lengths if spec.shape[:1] == (TIME,) else None)
        for array in found:
            if array.dtype.kind == "f":
                finite &= _all_finite(array)
        return finite

    def expected_seconds(self, batch: Batch) -> float:
        """How long the batch will take if its steps take as long as the last batch's did; infinite at first."""
        return self._seconds_per_step * _steps(batch)


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


def _kept(batch: Batch, finite: Flags | None) -> Slots | None:
    """The rows to keep; None for all."""
    if finite is None and batch.whole:
        return None
    keeps = batch.slots >= 0
    return np.flatnonzero(keeps if finite is None else keeps & finite)


def _steps(batch: Batch) -> int:
    return batch.time * len(batch.lengths)


def _finite_given(array: Array, lengths: Ints | None) -> Flags:
    """Which rows of an input `[rows, …]` are finite; what is after a row's length is not looked at."""
    if lengths is None:
        return _all_finite(array)
    finite = np.isfinite(array).reshape(*array.shape[:2], -1).all(axis=2)
    return np.asarray((finite | (np.arange(array.shape[1]) >= lengths[:, None])).all(axis=1))


def _all_finite(array: Array) -> Flags:
    return np.asarray(np.isfinite(array).reshape(len(array), -1).all(axis=1))


def _is_finite(array: Array) -> bool:
    """Whether all is finite: then so is the sum of squares, unless it is too large, and that is one pass, not two."""
    if array.dtype.itemsize >= 4:
        flat = array.reshape(-1)
        if math.isfinite(flat.dot(flat)):
            return True
    return bool(np.isfinite(array).all())
