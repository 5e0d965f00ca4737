"""Requests as clients send them, and what is read of the answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from models.tensors import NUMPY
from server.pb import grpc_service_pb2 as pb

DTYPES = {np.dtype(numpy): name for name, numpy in NUMPY.items()}
SECONDS = 30


def tensor(message: pb.ModelInferRequest, name: str, values: np.ndarray | Sequence[bytes]) -> None:
    """Add an input, raw."""
    if isinstance(values, np.ndarray):
        message.inputs.add(name=name, datatype=DTYPES[values.dtype], shape=values.shape)
        message.raw_input_contents.append(values.tobytes())
    else:
        message.inputs.add(name=name, datatype="BYTES", shape=[len(values)])
        message.raw_input_contents.append(b"".join(len(value).to_bytes(4, "little") + value for value in values))


def ask(
    sequence: int | str | None,
    xs: Sequence[int] | np.ndarray,
    *,
    model: str = "ledger",
    step: int | None = None,
    start: bool = False,
    end: bool = False,
    life: str = "",
    timeout: int = 0,
    name: str = "",
) -> pb.ModelInferRequest:
    """Ask for the next steps of one sequence, or of none; `timeout` is in microseconds."""
    message = pb.ModelInferRequest(model_name=model, id=name)
    parameters = message.parameters
    if isinstance(sequence, int):
        parameters["sequence_id"].int64_param = sequence
    elif sequence is not None:
        parameters["sequence_id"].string_param = sequence
    for field, given in (("sequence_start", start), ("sequence_end", end)):
        if given:
            parameters[field].bool_param = True
    if step is not None:
        parameters["recur_step"].int64_param = step
    if life:
        parameters["recur_incarnation"].string_param = life
    if timeout:
        parameters["timeout"].int64_param = timeout
    tensor(message, "x", xs[None] if isinstance(xs, np.ndarray) else np.array([xs], np.int64))
    return message


def ask_many(
    sequences: Sequence[int], xs: np.ndarray, *, model: str = "ledger", **columns: np.ndarray
) -> pb.ModelInferRequest:
    """Ask for steps `[rows, time, …]` of many sequences; `columns` are lengths, sequence_start and so on."""
    message = pb.ModelInferRequest(model_name=model)
    tensor(message, "x", xs)
    tensor(message, "sequence_id", np.array(sequences, np.int64))
    for name, values in columns.items():
        tensor(message, name, values)
    return message


def output(response: pb.ModelInferResponse, name: str = "y") -> np.ndarray:
    """Read an output, `[rows, …]`."""
    for given, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if given.name == name:
            return np.frombuffer(raw, NUMPY[given.datatype]).reshape(given.shape)
    raise KeyError(name)


def values(response: pb.ModelInferResponse) -> list[int]:
    """Read the ledger's answer to one sequence."""
    found: list[int] = output(response)[0].tolist()
    return found


def position(response: pb.ModelInferResponse) -> int:
    """Read how many steps a sequence has had."""
    return response.parameters["recur_step"].int64_param


def replayed(response: pb.ModelInferResponse) -> bool:
    """Read whether a stored answer was given again."""
    return response.parameters["recur_replayed"].bool_param


def reason(error: BaseException) -> str:
    """Read the reason of an error's one text form: `[request id: ID] CODE REASON: sentence`."""
    assert isinstance(error, grpc.RpcError)
    text = error.details() or ""
    found = text.partition("] ")[2] if text.startswith("[") else text
    return f"{error.code().name} {found.split(':')[0].split(' ')[-1]}"


@contextmanager
def refused(expected: str) -> Iterator[None]:
    """Expect a call to be refused, as `CODE REASON`."""
    with pytest.raises(grpc.RpcError) as failure:
        yield
    assert reason(failure.value) == expected, failure.value.details()
