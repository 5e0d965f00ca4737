"""Runs put together into whole sequences, or into pieces of them where they are long."""

from collections.abc import Iterator

import numpy as np

from training.data.own.runs import Run
from training.data.own.settings import TableData
from training.data.series import Series, next_step


class Builder:
    """Collects the runs of one sequence after another."""

    def __init__(self, data: TableData) -> None:
        self._data = data
        self._runs: list[Run] = []
        # A piece whose targets are the next inputs needs a row more, which also begins the next piece.
        self._shared = 0 if data.targets else 1

    def add(self, run: Run) -> Iterator[Series]:
        """Take the next run; gives the sequence before it, if that ended, and pieces that are full."""
        if self._runs and self._runs[0].key != run.key:
            yield from self.end()
        self._runs.append(run)
        full = self._data.longest + self._shared
        while self._data.longest and sum(map(len, self._runs)) >= full:
            whole = _join(self._runs)
            yield from self._series(whole.cut(0, full))
            self._runs = [whole.cut(self._data.longest, len(whole))]

    def end(self) -> Iterator[Series]:
        """Give what is left of the last sequence."""
        if any(map(len, self._runs)):
            yield from self._series(_join(self._runs))
        self._runs = []

    def _series(self, run: Run) -> Iterator[Series]:
        if not self._data.targets:
            # A single row has no next one.
            yield from [next_step(run.inputs)] if len(run) > 1 else []
        else:
            yield Series(run.inputs, run.targets[-1] if self._data.per_sequence else run.targets)


def _join(runs: list[Run]) -> Run:
    inputs, targets = ([getattr(run, name) for run in runs] for name in ("inputs", "targets"))
    return Run(runs[0].key, np.concatenate(inputs), np.concatenate(targets))
