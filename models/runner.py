"""The one place that runs a graph in ONNX Runtime, with the guards that keep the process alive."""

from collections.abc import Mapping
from typing import final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from models.errors import ModelDamaged, RowsInvalid
from models.graph import check_tensors, open_session, scalars
from models.manifest import Manifest, StateSpec
from models.tensors import TIME

Array = NDArray[np.generic]
Arrays = dict[str, Array]

FATAL = 4


@final
class Runner:
    """A graph ready to run; thread-safe, stateless: states go in and come out as arrays.

    Whatever axis the graph keeps a state's batch on, callers have it first. An input that is one number for a
    whole run in the graph is one for each row to callers: rows of the same number run together.

    Args:
        manifest: names, datatypes and shapes of the tensors.
        graph: the ONNX file's bytes.
        threads: how many threads one run uses.

    Raises:
        ModelDamaged: the graph cannot be loaded, or its tensors are not the manifest's.
    """

    def __init__(self, manifest: Manifest, graph: bytes, *, threads: int = 1) -> None:
        self.manifest = manifest
        self._session = open_session(graph, threads)
        self._options = ort.RunOptions()
        # A run that fails raises; ONNX Runtime's own line on stderr would let a client fill the log.
        self._options.log_severity_level = FATAL
        check_tensors(manifest, self._session)
        self._lengths = manifest.lengths
        self._outputs = [tensor.name for tensor in manifest.outputs]
        self._names = [*self._outputs, *(state.output for state in manifest.states)]
        self._moved = [state for state in manifest.states if state.batch_axis != 0]
        self._scalars = scalars(manifest, self._session)
        self._timed = _timed(manifest)

    def run(
        self, inputs: Mapping[str, Array], lengths: NDArray[np.int64], states: Mapping[str, Array]
    ) -> tuple[Arrays, Arrays]:
        """Advance every row by its own length.

        Args:
            inputs: by name, `[batch, time, …]`, or `[batch, …]` where the manifest's shape has no time.
            lengths: valid steps of each row, `[batch]`, 1..time; all of them time if the graph takes no lengths,
                and 1 if no input has a time axis.
            states: by the graph's input names, `[batch, …]`.

        Returns:
            Outputs by name `[batch, time, …]` or `[batch, …]`, and next states by the names of `states`.

        Raises:
            RowsInvalid: zero rows or steps, or a length that the graph cannot take, of which some would end the
                process; or values that the graph refuses, such as an index outside its table.
            ModelDamaged: the graph itself fails, as one whose tensors do not fit each other does.
        """
        rows, time = self._size(inputs)
        _check_rows(rows, time, lengths, ragged=self._lengths is not None)
        feeds: Arrays = {**inputs, **states}
        if self._lengths is not None:
            feeds[self._lengths] = lengths
        answers = self._run_groups(feeds, rows) if self._scalars and rows > 1 else self._run_rows(feeds, rows)
        next_states = {state.input: answers[state.output] for state in self.manifest.states}
        return {name: answers[name] for name in self._outputs}, next_states

    def _size(self, inputs: Mapping[str, Array]) -> tuple[int, int]:
        if self._timed is None:
            return len(next(iter(inputs.values()))), 1
        name, axis = self._timed
        return len(inputs[name]), inputs[name].shape[axis]

    def _run_groups(self, feeds: Arrays, rows: int) -> Arrays:
        """Run the rows of each value of the scalars apart, and put the answers back in the rows' order."""
        groups: dict[bytes, list[int]] = {}
        for row in range(rows):
            groups.setdefault(b"".join(feeds[name][row].tobytes() for name in self._scalars), []).append(row)
        if len(groups) == 1:
            return self._run_rows(feeds, rows)
        parts = [
            self._run_rows({name: array[group] for name, array in feeds.items()}, len(group))
            for group in groups.values()
        ]
        back = np.argsort(np.concatenate(list(groups.values())))
        try:
            return {name: np.concatenate([part[name] for part in parts])[back] for name in self._names}
        except ValueError as error:
            raise ModelDamaged("the graph's answers to rows of one batch have different shapes") from error

    def _run_rows(self, feeds: Arrays, rows: int) -> Arrays:
        """Run rows whose scalars are equal; all arrays `[batch, …]`."""
        if rows == 1:
            # At one row ONNX Runtime takes another path, whose last bits differ from any larger batch.
            feeds = {name: np.concatenate([array, array]) for name, array in feeds.items()}
        fed = feeds | {name: feeds[name][0, ...] for name in self._scalars} if self._scalars else dict(feeds)
        for state in self._moved:
            fed[state.input] = np.ascontiguousarray(np.moveaxis(fed[state.input], 0, state.batch_axis))
        answers = self._run(fed)
        for state in self._moved:
            answers[state.output] = _batch_first(answers[state.output], state)
        return {name: array[:1] for name, array in answers.items()} if rows == 1 else answers

    def _run(self, feeds: Arrays) -> Arrays:
        try:
            answers = self._session.run(self._names, feeds, self._options)
        except InvalidArgument as error:
            raise RowsInvalid("the graph cannot run on these values") from error
        except (Fail, RuntimeException) as error:
            raise ModelDamaged("the graph fails as it runs") from error
        return dict(zip(self._names, answers, strict=True))


def _timed(manifest: Manifest) -> tuple[str, int] | None:
    """Find an input with a time axis, and that axis of it, counted with the batch's."""
    for tensor in manifest.inputs:
        if TIME in tensor.shape:
            return tensor.name, 1 + tensor.shape.index(TIME)
    return None


def _batch_first(array: Array, state: StateSpec) -> Array:
    if array.ndim <= state.batch_axis:
        raise ModelDamaged(
            f"the graph's output '{state.output}' has no axis {state.batch_axis}, the manifest's batch_axis"
        )
    return np.moveaxis(array, state.batch_axis, 0)


def _check_rows(rows: int, time: int, lengths: NDArray[np.int64], *, ragged: bool) -> None:
    if rows < 1 or time < 1:
        raise RowsInvalid(f"a batch of {rows} rows and {time} steps has nothing to run")
    if lengths.shape != (rows,) or int(lengths.min()) < 1 or int(lengths.max()) > time:
        raise RowsInvalid(f"lengths must be {rows} numbers from 1 to {time}")
    if not ragged and int(lengths.min()) < time:
        raise RowsInvalid(f"lengths must all be {time}, since the graph takes no lengths")
