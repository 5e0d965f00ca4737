"""Computes a batch: gather, run, check that all is finite, commit; called off the event loop."""

import time
from typing import final

import numpy as np
from numpy.typing import NDArray

from models.runner import Runner
from server.stores.base import StateStore
from server.types import Arrays, Batch, BatchResult


@final
class Runtime:
    """A model version's graph and its states."""

    def __init__(self, runner: Runner, store: StateStore) -> None:
        self._runner = runner
        self._store = store
        self._allow_nonfinite = runner.manifest.allow_nonfinite

    def run(self, batch: Batch) -> BatchResult:
        """Advance every row and keep its next state.

        A row whose output or next state is not finite is not committed. Whatever raises leaves all states as they were.
        """
        began = time.perf_counter()
        states = self._store.gather(batch.slots, batch.fresh)
        gathered = time.perf_counter()
        outputs, next_states = self._runner.run(batch.inputs, batch.lengths, states)
        computed = time.perf_counter()
        finite = self._finite(outputs, next_states, len(batch.slots))
        self._commit(batch.slots, next_states, finite)
        seconds = {
            "gather": gathered - began,
            "compute": computed - gathered,
            "scatter": time.perf_counter() - computed,
        }
        return BatchResult(outputs, finite, seconds)

    def _finite(self, outputs: Arrays, next_states: Arrays, rows: int) -> NDArray[np.bool_]:
        finite = np.ones(rows, np.bool_)
        if self._allow_nonfinite:
            return finite
        for array in (*outputs.values(), *next_states.values()):
            if array.dtype.kind == "f":
                finite &= np.isfinite(array).reshape(rows, -1).all(axis=1)
        return finite

    def _commit(self, slots: NDArray[np.intp], next_states: Arrays, finite: NDArray[np.bool_]) -> None:
        if finite.all():
            self._store.commit(slots, next_states)
        else:
            self._store.commit(slots[finite], {name: state[finite] for name, state in next_states.items()})
