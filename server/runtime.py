"""Computes a batch: gather, run, check that all is finite, commit; called off the event loop."""

import math
import time
from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from models.runner import Runner
from server.stores.base import StateStore
from server.types import Array, Batch, BatchResult


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

        A row whose output or next state is not finite is not committed. Whatever raises leaves all states as they were.
        """
        began = time.perf_counter()
        states = self._store.gather(batch.slots, batch.fresh)
        gathered = time.perf_counter()
        outputs, next_states = self._runner.run(batch.inputs, batch.lengths, states)
        computed = time.perf_counter()
        finite = None if self._allow_nonfinite else _finite_rows([*outputs.values(), *next_states.values()])
        if finite is None:
            self._store.commit(batch.slots, next_states)
        else:
            self._store.commit(batch.slots[finite], {name: state[finite] for name, state in next_states.items()})
        committed = time.perf_counter()
        self._seconds_per_step = (committed - began) / _steps(batch)
        seconds = {"gather": gathered - began, "compute": computed - gathered, "scatter": committed - computed}
        return BatchResult(outputs, finite, seconds)

    def expected_seconds(self, batch: Batch) -> float:
        """How long the batch will take if its steps take as long as the last batch's did; infinite at first."""
        return self._seconds_per_step * _steps(batch)


def _steps(batch: Batch) -> int:
    rows, time_ = next(iter(batch.inputs.values())).shape[:2]
    return int(rows * time_)


def _finite_rows(arrays: Sequence[Array]) -> NDArray[np.bool_] | None:
    """Which rows of all arrays `[rows, …]` are finite; None where all are, which one look at each array shows."""
    floats = [array for array in arrays if array.dtype.kind == "f"]
    if all(np.isfinite(array).all() for array in floats):
        return None
    finite = np.ones(len(floats[0]), np.bool_)
    for array in floats:
        finite &= np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return finite
