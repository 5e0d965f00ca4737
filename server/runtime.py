"""Computes a batch: gather, run, check that all is finite, commit; called off the event loop."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, final

import numpy as np

from models.device_array import Rows, on_host
from models.runner import Runner
from server.collecting import Collecting
from server.finite import finite_rows
from server.limits import Limits
from server.padding import Padding
from server.signature import signatures_of
from server.spread import corner, sizes_of, spreads_of
from server.stores.base import StateStore
from server.types import Array, Arrays, Batch, BatchResult, Flags, Ints, Part, Slots, States
from server.vocabulary import told_input, vocabulary_of

Run = Callable[[Arrays, Ints, Mapping[str, Rows]], tuple[Arrays, Mapping[str, Rows]]]


class Piece(NamedTuple):
    """What some of a batch's rows gave, run together."""

    rows: Slots
    outputs: Arrays
    next_states: Arrays


@final
class Runtime:
    """A model version's graphs and its states.

    Args:
        runner: of its graphs.
        store: of its states.
        vocabulary: the text of the file.
        most_steps: rows times the longest row's steps that run together at most, where sequences run when complete.

    Attributes:
        signatures: the tensors of each part.
        vocabulary: the symbols that the model reads, where it has texts for them.

    Raises:
        ModelUnsupported: a graph has tensors that the protocol cannot carry.
        ModelDamaged: the vocabulary is none, or not that of the model's symbols.
    """

    def __init__(
        self, runner: Runner, store: StateStore, *, vocabulary: str | None = None, most_steps: int = Limits().max_steps
    ) -> None:
        self.vocabulary = vocabulary_of(runner.manifest, vocabulary)
        told, texts = told_input(runner.manifest), self.vocabulary
        self.signatures = signatures_of(runner, {} if told is None or texts is None else {told: texts})
        self._runner = runner
        self._store = store
        self._padding = Padding(runner.manifest.states)
        self._spreads = spreads_of(runner.manifest)
        self._collecting = Collecting(runner, most_steps=most_steps) if runner.manifest.kind == "sequence" else None
        self._allow_nonfinite = runner.manifest.allow_nonfinite
        self._seconds_per_step: dict[Part, float] = {}

    def run(self, batch: Batch) -> BatchResult:
        """Advance every row and keep its next state.

        A row whose input, output or next state is not finite is not committed, nor one whose state has no room to grow.
        Whatever raises leaves all states as they were.
        """
        began = time.perf_counter()
        states = self._store.gather(batch.slots if batch.sources is None else batch.sources, batch.fresh)
        gathered = time.perf_counter()
        if batch.starting:
            self._begin(batch, states)
        if self._spreads and batch.part != "start":
            batch = batch._replace(sizes=sizes_of(self._spreads, states.ragged))
        outputs, next_states = self._compute(batch, states)
        computed = time.perf_counter()
        finite = None
        if not self._allow_nonfinite:
            finite = finite_rows(self.signatures[batch.part], batch, outputs, next_states)
        full: Flags | None = None
        if batch.part != "peek":
            kept = _kept(batch, finite)
            if next_states.ragged and (full := self._store.without_room(batch.slots, next_states)) is not None:
                kept = np.setdiff1d(np.arange(len(batch.slots)) if kept is None else kept, np.flatnonzero(full))
            self._store.commit(batch, outputs, next_states, kept)
        committed = time.perf_counter()
        self._seconds_per_step[batch.part] = (committed - began) / _steps(batch)
        seconds = {"gather": gathered - began, "compute": computed - gathered, "scatter": committed - computed}
        return BatchResult(outputs, finite, seconds, full, batch.sizes)

    def expected_seconds(self, batch: Batch) -> float:
        """How long the batch will take if its steps take as long as the last batch's did; infinite at first."""
        return self._seconds_per_step.get(batch.part, math.inf) * _steps(batch)

    def _begin(self, batch: Batch, states: States) -> None:
        """Let the start graph make the states of the rows that begin."""
        for starting in batch.starting:
            made = self._runner.start(starting.inputs)
            ragged = self._padding.cut(made, starting.inputs)
            for name, array in made.items():
                if name not in ragged:
                    states.fixed[name][starting.rows] = array
            for name, arrays in ragged.items():
                for row, array in zip(starting.rows.tolist(), arrays, strict=True):
                    states.ragged[name][row] = array

    def _compute(self, batch: Batch, states: States) -> tuple[Arrays, States]:
        if batch.part == "start":
            return {}, states
        if self._collecting is not None and batch.told is not None:
            outputs, kept = self._collecting.run(batch, states.ragged, batch.told)
            return outputs, States({}, kept)
        run: Run = self._peek if batch.part == "peek" and self._runner.peek_outputs else self._runner.run
        if not self._padding.names:
            outputs, next_states = run(batch.inputs, batch.lengths, states.fixed)
            return outputs, States(next_states)
        return self._run_ragged(run, batch, states)

    def _peek(self, inputs: Arrays, lengths: Ints, states: Mapping[str, Rows]) -> tuple[Arrays, Arrays]:
        return self._runner.peek(inputs, lengths, states), {}

    def _run_ragged(self, run: Run, batch: Batch, states: States) -> tuple[Arrays, States]:
        """Run the rows whose states may be padded to one size, part by part."""
        pieces, ragged = [], {name: [*arrays] for name, arrays in states.ragged.items()}
        for rows in self._padding.alike(states.ragged):
            some, inputs = states.of(rows), {name: array[rows] for name, array in batch.inputs.items()}
            outputs, next_states = run(inputs, batch.lengths[rows], {**some.fixed, **self._padding.pad(some.ragged)})
            found = {name: on_host(array) for name, array in next_states.items()}
            for name, arrays in self._padding.cut(found, inputs).items():
                for row, array in zip(rows.tolist(), arrays, strict=True):
                    ragged[name][row] = array
            pieces.append(Piece(rows, outputs, {name: found[name] for name in found if name not in ragged}))
        fixed = _joined([(piece.rows, piece.next_states) for piece in pieces])
        return _joined([(piece.rows, piece.outputs) for piece in pieces]), States(fixed, ragged)


def _joined(pieces: Sequence[tuple[Slots, Arrays]]) -> dict[str, Array]:
    """Put pieces of rows together, in the rows' order, zeros after the end of a piece that is smaller than others."""
    rows = sum(len(some) for some, _ in pieces)
    joined: dict[str, Array] = {}
    for name, first in pieces[0][1].items():
        largest = np.max([arrays[name].shape[1:] for _, arrays in pieces], axis=0).tolist() if first.ndim > 1 else ()
        joined[name] = array = np.zeros((rows, *largest), first.dtype)
        for some, arrays in pieces:
            array[corner(some, arrays[name])] = arrays[name]
    return joined


def _kept(batch: Batch, finite: Flags | None) -> Slots | None:
    """The rows to keep; None for all."""
    if finite is None and batch.whole:
        return None
    keeps = batch.slots >= 0
    return np.flatnonzero(keeps if finite is None else keeps & finite)


def _steps(batch: Batch) -> int:
    if batch.told is not None:
        return max(1, int(batch.told.max())) * len(batch.told)
    return max(1, batch.time) * len(batch.lengths)
