"""The requests that every server is driven with, serialised as tritonclient writes them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.pb import grpc_service_pb2 as pb

MODEL = "bench"
FEATURES, HIDDEN = 32, 128


def step_request(sequence: int, *, steps: int = 1, start: bool = False) -> bytes:
    """Serialise a chunk of one sequence, of one step or several."""
    message = pb.ModelInferRequest(model_name=MODEL, id=str(sequence))
    message.parameters["sequence_id"].int64_param = sequence
    message.parameters["sequence_start"].bool_param = start
    message.parameters["sequence_end"].bool_param = False
    _add(message, "x", "FP32", _values(sequence, (1, steps, FEATURES)))
    return message.SerializeToString()


def keyed_request(sequence: int) -> bytes:
    """Serialise a step of a sequence that is told by an input, as a server is asked that knows of no sequences."""
    message = pb.ModelInferRequest(model_name=MODEL, id=str(sequence))
    _add(message, "x", "FP32", step_values(sequence))
    _add(message, "sequence_id", "INT64", np.array([[sequence]]))
    return message.SerializeToString()


def lane_request(lane: int, rows: int, *, start: bool = False) -> bytes:
    """Serialise a step of each of a lane's sequences; no other lane has the same ones."""
    sequences = np.arange(lane * rows + 1, (lane + 1) * rows + 1)
    return rows_request(str(lane), sequences, _values(lane, (rows, 1, FEATURES)), start=start)


def rows_request(
    request_id: str,
    sequences: NDArray[np.int64],
    x: NDArray[np.float32],
    *,
    start: bool = False,
    end: bool = False,
    position: int | None = None,
) -> bytes:
    """Serialise a request of many rows, a sequence each.

    Args:
        request_id: what the answer will carry.
        sequences: an id for each row, `[rows]`.
        x: `[rows, time, features]`.
        start: whether all of them begin.
        end: whether all of them end.
        position: the steps that each has had, for requests that are applied exactly once.
    """
    rows = len(sequences)
    message = pb.ModelInferRequest(model_name=MODEL, id=request_id)
    _add(message, "x", "FP32", x)
    _add(message, "sequence_id", "INT64", sequences)
    for name, flag in (("sequence_start", start), ("sequence_end", end)):
        if flag:
            _add(message, name, "BOOL", np.ones(rows, np.bool_))
    if position is not None:
        _add(message, "recur_step", "INT64", np.full(rows, position, np.int64))
    return message.SerializeToString()


def step_values(sequence: int) -> NDArray[np.float32]:
    """Give a step of a sequence, `[1, 1, features]`."""
    return _values(sequence, (1, 1, FEATURES))


def _add(message: pb.ModelInferRequest, name: str, datatype: str, array: NDArray[np.generic]) -> None:
    message.inputs.add(name=name, datatype=datatype, shape=array.shape)
    message.raw_input_contents.append(array.tobytes())


def _values(seed: int, shape: Sequence[int]) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
