"""The one place that calls ONNX Runtime on a graph, with the guards that keep the process alive."""

import os
from collections.abc import Mapping
from typing import final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from models.errors import ModelDamaged, RowsInvalid
from models.manifest import Manifest
from models.tensors import ONNX_RUNTIME, DType

Array = NDArray[np.generic]
Arrays = dict[str, Array]

WARNING, FATAL = 2, 4


@final
class Runner:
    """A graph ready to run; thread-safe, stateless: states go in and come out as arrays.

    Args:
        manifest: names, datatypes and shapes of the tensors.
        graph: the ONNX file's bytes.
        threads: how many threads one run uses.

    Raises:
        ModelDamaged: the graph cannot be loaded, or its tensors are not the manifest's.
    """

    def __init__(self, manifest: Manifest, graph: bytes, *, threads: int = 1) -> None:
        self.manifest = manifest
        self._session = _open_session(graph, threads)
        self._options = ort.RunOptions()
        # A run that fails raises; ONNX Runtime's own line on stderr would let a client fill the log.
        self._options.log_severity_level = FATAL
        self._check_tensors()
        self._lengths = manifest.lengths
        self._outputs = [tensor.name for tensor in manifest.outputs]
        self._names = [*self._outputs, *(state.output for state in manifest.states)]

    def run(
        self, inputs: Mapping[str, Array], lengths: NDArray[np.int64], states: Mapping[str, Array]
    ) -> tuple[Arrays, Arrays]:
        """Advance every row by its own length.

        Args:
            inputs: by name, `[batch, time, …]`.
            lengths: valid steps of each row, `[batch]`, 1..time.
            states: by the graph's input names, `[batch, …]`.

        Returns:
            Outputs by name `[batch, time, …]`, and next states by the names of `states`.

        Raises:
            RowsInvalid: zero rows or steps, or a length outside 1..time, of which some would end the process;
                or values that the graph refuses, such as an index outside its table.
            ModelDamaged: the graph itself fails, as one whose tensors do not fit each other does.
        """
        rows, time = next(iter(inputs.values())).shape[:2]
        _check_rows(rows, time, lengths)
        feeds: Arrays = {**inputs, **states}
        if self._lengths is not None:
            feeds[self._lengths] = lengths
        if rows == 1:
            # At one row ONNX Runtime takes another path, whose last bits differ from any larger batch.
            feeds = {name: np.concatenate([array, array]) for name, array in feeds.items()}
        answers = self._run(feeds)
        if rows == 1:
            answers = [answer[:1] for answer in answers]
        split = len(self._outputs)
        next_states = {state.input: array for state, array in zip(self.manifest.states, answers[split:], strict=True)}
        return dict(zip(self._outputs, answers, strict=False)), next_states

    def _run(self, feeds: Arrays) -> list[Array]:
        try:
            answers: list[Array] = self._session.run(self._names, feeds, self._options)
        except InvalidArgument as error:
            raise RowsInvalid("the graph cannot run on these values") from error
        except (Fail, RuntimeException) as error:
            raise ModelDamaged("the graph fails as it runs") from error
        return answers

    def _check_tensors(self) -> None:
        manifest = self.manifest
        into = {tensor.name: tensor.dtype for tensor in manifest.inputs}
        into |= {state.input: state.dtype for state in manifest.states}
        if manifest.lengths is not None:
            into[manifest.lengths] = "INT64"
        out = {tensor.name: tensor.dtype for tensor in manifest.outputs}
        out |= {state.output: state.dtype for state in manifest.states}
        _compare("input", into, self._session.get_inputs())
        _compare("output", out, self._session.get_outputs())


def _open_session(graph: bytes, threads: int) -> ort.InferenceSession:
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = WARNING
    # Spinning threads would take the cores from the transport between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A graph without a folder of its own may have its data in any file below the working folder; here there are none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        raise ModelDamaged("the graph is not one that ONNX Runtime can load") from error


def _compare(side: str, expected: dict[str, DType], found: list[ort.NodeArg]) -> None:
    types = {node.name: node.type for node in found}
    for name, dtype in expected.items():
        if name not in types:
            raise ModelDamaged(f"the graph has no {side} '{name}', which the manifest names")
        if types[name] != ONNX_RUNTIME[dtype]:
            raise ModelDamaged(f"the graph's {side} '{name}' is {types[name]}, but the manifest says {dtype}")
    if side == "input" and (extra := sorted(types.keys() - expected.keys())):
        raise ModelDamaged(f"the graph has an input '{extra[0]}' that the manifest does not name")


def _check_rows(rows: int, time: int, lengths: NDArray[np.int64]) -> None:
    if rows < 1 or time < 1:
        raise RowsInvalid(f"a batch of {rows} rows and {time} steps has nothing to run")
    if lengths.shape != (rows,) or int(lengths.min()) < 1 or int(lengths.max()) > time:
        raise RowsInvalid(f"lengths must be {rows} numbers from 1 to {time}")
