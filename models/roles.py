"""The graphs that a model may have beside its main one: of the start, of one step, of questions to the state."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.device_array import Rows, on_host
from models.errors import ModelDamaged
from models.graph import Graph, check_tensors, spec_of
from models.manifest import Manifest, TensorSpec
from models.rows import check_rows, check_sizes, size_of, time_axis
from models.tensors import Array, Arrays, DType

_START, _STEP, _PEEK = "the start graph", "the step graph", "the peek graph"


@final
class StartGraph:
    """Turns a sequence's first inputs into its states, which the graph gives by the names that main takes.

    Attributes:
        inputs: what it takes, as the graph declares it.

    Raises:
        ModelDamaged: the graph gives no state, or one of another datatype than the manifest's.
    """

    def __init__(self, manifest: Manifest, graph: Graph) -> None:
        self._graph = graph
        self.inputs = tuple(spec_of(node, _START) for node in graph.inputs.values())
        made = {state.input: state.dtype for state in manifest.states if state.input in graph.outputs}
        if not made or not self.inputs:
            raise ModelDamaged(f"{_START} must take an input and give a state by the name that the main graph takes")
        check_tensors("output", made, graph.outputs, _START)
        self._made = list(made)

    def run(self, inputs: Mapping[str, Array]) -> Arrays:
        """Give the states of rows that all have the same shape."""
        check_sizes(inputs)
        return _on_host(self._graph.run(self._made, inputs, len(next(iter(inputs.values())))))


@final
class StepGraph:
    """Runs rows of one step: the graph's tensors are the main graph's without lengths, and without the time axis.

    Raises:
        ModelDamaged: the graph's tensors are others.
    """

    def __init__(self, manifest: Manifest, graph: Graph) -> None:
        self._graph = graph
        states = manifest.states
        into = {spec.name: spec.dtype for spec in manifest.inputs} | {state.input: state.dtype for state in states}
        out = {spec.name: spec.dtype for spec in manifest.outputs} | {state.output: state.dtype for state in states}
        check_tensors("input", into, graph.inputs, _STEP)
        check_tensors("output", out, graph.outputs, _STEP)
        self._fed = tuple(into)
        self._timed_in = _timed(manifest.inputs, graph.inputs)
        self._timed_out = _timed(manifest.outputs, graph.outputs)

    def run(self, names: Sequence[str], feeds: Mapping[str, Rows], rows: int) -> dict[str, Rows]:
        """Give what the main graph gives for a time of one."""
        fed = {name: feeds[name] for name in self._fed}
        for name, axis in self._timed_in.items():
            fed[name] = on_host(fed[name]).squeeze(axis)
        answers = self._graph.run(names, fed, rows)
        return answers | {name: np.expand_dims(on_host(answers[name]), axis) for name, axis in self._timed_out.items()}


@final
class PeekGraph:
    """Answers a question from the states, which stay as they are.

    Attributes:
        inputs: what it takes beside lengths and states, as the graph declares it.
        outputs: what it answers.
        ragged: whether it takes lengths.

    Raises:
        ModelDamaged: a state that it takes is of another datatype than the manifest's, or a tensor has no batch.
    """

    def __init__(self, manifest: Manifest, graph: Graph) -> None:
        self._graph = graph
        self._lengths = manifest.lengths if manifest.lengths in graph.inputs else None
        self.ragged = self._lengths is not None
        shared: dict[str, DType] = {state.input: state.dtype for state in manifest.states}
        if self._lengths is not None:
            shared[self._lengths] = "INT64"
        taken = {name: dtype for name, dtype in shared.items() if name in graph.inputs}
        self.inputs = tuple(spec_of(node, _PEEK) for node in graph.inputs.values() if node.name not in taken)
        self.outputs = tuple(spec_of(node, _PEEK) for node in graph.outputs.values())
        own = {spec.name: spec.dtype for spec in self.inputs}
        check_tensors("input", taken | own, graph.inputs, _PEEK)

    def run(self, inputs: Mapping[str, Array], lengths: NDArray[np.int64], states: Arrays) -> Arrays:
        """Give the answers for rows of these states."""
        rows, time = size_of(self.inputs, inputs or states)
        check_rows(rows, time, lengths, ragged=self.ragged)
        check_sizes(inputs)
        feeds = {**inputs, **states}
        if self._lengths is not None:
            feeds[self._lengths] = lengths
        fed = {name: feeds[name] for name in self._graph.inputs}
        return _on_host(self._graph.run([spec.name for spec in self.outputs], fed, rows))


def _on_host(arrays: Mapping[str, Rows]) -> Arrays:
    return {name: on_host(array) for name, array in arrays.items()}


def _timed(specs: Sequence[TensorSpec], nodes: Mapping[str, ort.NodeArg]) -> dict[str, int]:
    """The main graph's time axes, which the step graph's tensors do not have."""
    axes = {spec.name: axis for spec in specs if (axis := time_axis(spec)) is not None}
    for spec in specs:
        rank = len(nodes[spec.name].shape)
        if spec.name in axes and rank != len(spec.shape):
            raise ModelDamaged(f"{_STEP}'s '{spec.name}' has {rank} axes, not {len(spec.shape)}: one step has no time")
    return axes
