"""The one place that runs a model's graphs in ONNX Runtime, with the guards that keep the process alive."""

from collections.abc import Collection, Mapping
from typing import TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray

from models.device import CPU
from models.device_array import Rows, on_host
from models.errors import ModelUnsupported
from models.graph import Graph, check_tensors
from models.manifest import Manifest
from models.roles import PeekGraph, StartGraph, StepGraph
from models.rows import check_lengths_of, check_rows, check_sizes, fit_free_axes, has_free_axes, size_of
from models.tensors import Array, Arrays

__all__ = ["Array", "Arrays", "Runner"]

# The next states are where the states were: on the host or on a device.
Where = TypeVar("Where", bound=Rows)


@final
class Runner:
    """A model ready to run; thread-safe, stateless: states go in and come out as arrays.

    Whatever axis the graphs keep a state's batch on, callers have it first. An input that is one number for a
    whole run in the graph is one for each row to callers: rows of the same number run together.

    Args:
        manifest: names, datatypes and shapes of the tensors.
        graph: the main ONNX file's bytes.
        start: the bytes of the graph that turns a sequence's first inputs into its states.
        step: the bytes of the graph of one step, which runs where all rows have one step.
        peek: the bytes of the graph that answers from the states and leaves them.
        threads: how many threads one run uses.
        device: `cpu`, `cuda` or `cuda:N`.

    Attributes:
        has_step: whether there is a step graph.
        start_inputs: what `start` takes, as its graph declares it.
        peek_inputs: what `peek` takes beside lengths and states.
        peek_outputs: what `peek` answers.
        peek_ragged: whether `peek` takes lengths.

    Raises:
        ModelDamaged: a graph cannot be loaded, or its tensors are not the manifest's.
        DeviceMissing: there is no such device.
    """

    def __init__(
        self,
        manifest: Manifest,
        graph: bytes,
        *,
        start: bytes | None = None,
        step: bytes | None = None,
        peek: bytes | None = None,
        threads: int = 1,
        device: str = CPU,
    ) -> None:
        self.manifest = manifest
        check_lengths_of(manifest)
        axes = {name: state.batch_axis for state in manifest.states for name in (state.input, state.output)}
        numbers = {tensor.name for tensor in manifest.inputs if not tensor.shape}

        def opened(data: bytes, scalars: Collection[str] | None = None) -> Graph:
            return Graph(data, batch_axes=axes, scalars=scalars, threads=threads, device=device)

        self._main = opened(graph, numbers)
        _check_main(manifest, self._main)
        self._start = None if start is None else StartGraph(manifest, opened(start))
        self._step = None if step is None else StepGraph(manifest, opened(step, numbers))
        self._peek = None if peek is None else PeekGraph(manifest, opened(peek))
        self.has_step = step is not None
        self.start_inputs = () if self._start is None else self._start.inputs
        self.peek_inputs = () if self._peek is None else self._peek.inputs
        self.peek_outputs = () if self._peek is None else self._peek.outputs
        self.peek_ragged = self._peek is not None and self._peek.ragged
        self._lengths = manifest.lengths
        self._outputs = [tensor.name for tensor in manifest.outputs]
        self._names = [*self._outputs, *(state.output for state in manifest.states)]
        self._free = has_free_axes(manifest)

    def run(
        self,
        inputs: Mapping[str, Array],
        lengths: NDArray[np.int64],
        states: Mapping[str, Where],
        *,
        step: bool = True,
    ) -> tuple[Arrays, dict[str, Where]]:
        """Advance every row by its own length.

        Args:
            inputs: by name, `[batch, time, …]`, or `[batch, …]` where the manifest's shape has no time.
            lengths: valid steps of each row, `[batch]`, 1..time; all of them time if the graph takes no lengths,
                and 1 if no input has a time axis.
            states: by the graph's input names, `[batch, …]`; free axes padded to the longest row. They may be on the
                runner's device, unless they have free axes, and the next states then stay there.
            step: whether the step graph, where there is one, may run rows of one step.

        Returns:
            Outputs by name `[batch, time, …]` or `[batch, …]`, and next states by the names of `states`.

        Raises:
            RowsInvalid: zero rows or steps, or a length that the graph cannot take, of which some would end the
                process; or values that the graph refuses, such as an index outside its table.
            ModelDamaged: the graph itself fails, as one whose tensors do not fit each other does.
        """
        rows, time = size_of(self.manifest.inputs, inputs)
        check_rows(rows, time, lengths, ragged=self._lengths is not None)
        feeds: dict[str, Rows] = {**inputs, **self._fit(states, inputs)}
        if self._free:
            check_sizes(feeds)
        if step and time == 1 and self._step is not None:
            answers = self._step.run(self._names, feeds, rows)
        else:
            if self._lengths is not None:
                feeds[self._lengths] = lengths
            answers = self._main.run(self._names, feeds, rows)
        next_states = {state.input: cast("Where", answers[state.output]) for state in self.manifest.states}
        return {name: on_host(answers[name]) for name in self._outputs}, next_states

    def start(self, inputs: Mapping[str, Array]) -> Arrays:
        """Make the states of new sequences from `start_inputs`, `[batch, …]`; all rows have the same shape.

        Returns:
            States by the names that `run` takes; one that the start graph does not make begins as the manifest says.

        Raises:
            RowsInvalid: no rows, an axis of nothing, or values that the graph refuses.
            ModelUnsupported: the model has no start graph.
        """
        if self._start is None:
            raise ModelUnsupported("the model has no start graph: its states begin as the manifest says")
        return self._start.run(inputs)

    def peek(self, inputs: Mapping[str, Array], lengths: NDArray[np.int64], states: Mapping[str, Rows]) -> Arrays:
        """Answer from the states, which stay as they are.

        Args:
            inputs: `peek_inputs` by name, `[batch, …]`.
            lengths: valid steps of each row, as for `run`; 1 if none of `peek_inputs` has a time axis.
            states: as for `run`.

        Raises:
            RowsInvalid: as for `run`.
            ModelUnsupported: the model has no peek graph.
        """
        if self._peek is None:
            raise ModelUnsupported("the model has no peek graph: it answers only as it steps")
        here = {name: on_host(array) for name, array in self._fit(states, inputs).items()}
        return self._peek.run(inputs, lengths, here)

    def _fit(self, states: Mapping[str, Rows], inputs: Mapping[str, Array]) -> Mapping[str, Rows]:
        """Hold states with free axes against their lengths; what reaches a graph has something on every axis."""
        return fit_free_axes(self.manifest.states, states, inputs) if self._free else states


def _check_main(manifest: Manifest, graph: Graph) -> None:
    into = {tensor.name: tensor.dtype for tensor in manifest.inputs}
    into |= {state.input: state.dtype for state in manifest.states}
    if manifest.lengths is not None:
        into[manifest.lengths] = "INT64"
    out = {tensor.name: tensor.dtype for tensor in manifest.outputs}
    out |= {state.output: state.dtype for state in manifest.states}
    check_tensors("input", into, graph.inputs, "the graph")
    check_tensors("output", out, graph.outputs, "the graph")
