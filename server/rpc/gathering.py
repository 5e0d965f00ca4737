"""Puts the answers of a request's rows together: they may run apart, and at different times."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import final

import numpy as np

from models.manifest import TensorSpec
from server.errors import RecurError
from server.spread import put_together
from server.types import Answer, Array, Arrays, Chunk, Flags, Ints, Slots


@final
class Gathering:
    """The answer to a request for many sequences, filled as its chunks are done.

    Args:
        specs: the outputs that are asked for.
        rows: of the request.
        time: steps that rows are answered, at least.
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
        self._pieces: list[tuple[Slots, Arrays]] = []

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
        self._pieces.append((place, answer.outputs))
        self._answered(len(place))

    def _answered(self, rows: int) -> None:
        self._left -= rows
        if rows and not self._left:
            outputs = {spec.name: self._together(spec) for spec in self._specs}
            self._finished(Answer(outputs, self._positions, self._replayed, self._errors))

    def _together(self, spec: TensorSpec) -> Array:
        pieces = [(place, outputs[spec.name]) for place, outputs in self._pieces if spec.name in outputs]
        return put_together(spec, self._rows, self._time, pieces)
