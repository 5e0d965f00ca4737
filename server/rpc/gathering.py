"""Puts the answers of a request's rows together: they may run apart, and at different times."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import final

import numpy as np

from models.manifest import TensorSpec
from models.tensors import NUMPY, fixed_shape
from server.errors import RecurError
from server.types import Answer, Array, Chunk, Flags, Ints


@final
class Gathering:
    """The answer to a request for many sequences, filled as its chunks are done.

    Args:
        specs: the outputs that are asked for.
        rows: of the request.
        time: steps that rows are answered; of whole sequences it grows.
        finished: called once, when every row is answered.
    """

    def __init__(
        self,
        specs: Sequence[TensorSpec],
        rows: int,
        time: int,
        finished: Callable[[Answer], None],
    ) -> None:
        self._specs = specs
        self._rows = rows
        self._time = time
        self._errors: dict[int, RecurError] = {}
        self._finished = finished
        self._left = rows
        self._outputs: dict[str, Array] = {}
        self._timed = frozenset(spec.name for spec in specs if spec.is_timed)

    @cached_property
    def _positions(self) -> Ints:
        return np.zeros(self._rows, np.int64)

    @cached_property
    def _replayed(self) -> Flags:
        return np.zeros(self._rows, np.bool_)

    def refuse(self, wrong: Mapping[int, RecurError]) -> None:
        """Note rows that are not to run."""
        self._errors |= wrong
        self._answered(len(wrong))

    def take(self, chunk: Chunk, answer: Answer) -> None:
        """Note the answer to some rows; one to all of them passes as it is."""
        if chunk.place is None and not answer.errors:
            self._finished(answer)
            return
        place = np.arange(self._rows) if chunk.place is None else chunk.place
        self._positions[place] = answer.positions
        if answer.replayed is not None:
            self._replayed[place] = answer.replayed
        self._errors |= {place.item(row): error for row, error in answer.errors.items()}
        for spec in self._specs:
            if (found := answer.outputs.get(spec.name)) is not None:
                if spec.is_timed:
                    self._make_room(found.shape[1])
                self._output(spec)[(place, slice(found.shape[1])) if spec.is_timed else place] = found
        self._answered(len(place))

    def _answered(self, rows: int) -> None:
        self._left -= rows
        if rows and not self._left:
            outputs = {spec.name: self._output(spec) for spec in self._specs}
            self._finished(Answer(outputs, self._positions, self._replayed, self._errors))

    def _make_room(self, time: int) -> None:
        """Let the answer have as many steps as the longest of its rows, which whole sequences alone show."""
        if time > self._time:
            self._time, before = time, self._outputs
            self._outputs = {name: array for name, array in before.items() if name not in self._timed}
            for spec in self._specs:
                if spec.name in before.keys() & self._timed:
                    self._output(spec)[:, : before[spec.name].shape[1]] = before[spec.name]

    def _output(self, spec: TensorSpec) -> Array:
        if spec.name not in self._outputs:
            axes = (self._time, *fixed_shape(spec.shape[1:])) if spec.is_timed else fixed_shape(spec.shape)
            self._outputs[spec.name] = np.zeros((self._rows, *axes), NUMPY[spec.dtype])
        return self._outputs[spec.name]
