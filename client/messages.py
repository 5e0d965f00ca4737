"""The plain values that the client asks with and is answered with."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from client.errors import ClientError, InvalidRequest

Array = NDArray[Any]
Arrays = Mapping[str, Array]
SequenceId = int | str
Scalar = bool | int | float | str
Inputs = Mapping[str, ArrayLike]


class Request(msgspec.Struct, frozen=True, eq=False):
    """One request, the same however often it is sent.

    Attributes:
        inputs: by name, `[batch, time, …]`.
        sequence_id: None where the request has no one sequence.
        parameters: the protocol's own, named `recur_…`.
        many: whether it has several answers, the last of them marked.
        safe: whether the server can be asked twice and applies it once.
    """

    model: str
    inputs: Arrays
    version: str = ""
    sequence_id: SequenceId | None = None
    start: bool = False
    end: bool = False
    parameters: Mapping[str, Scalar] = {}
    many: bool = False
    safe: bool = True


class Reply(msgspec.Struct, frozen=True, eq=False):
    """One answer as it came: tensors and parameters by name."""

    id: str
    outputs: Arrays
    parameters: Mapping[str, Scalar] = {}

    @property
    def final(self) -> bool:
        """Whether it is marked as the last answer of its request."""
        return bool(self.parameters.get("triton_final_response", False))


Event = Reply | ClientError


class Notice(msgspec.Struct, frozen=True):
    """What the server says unasked: why (EXPIRED, FENCED, …), and its parameters, which name what it is about."""

    reason: str
    parameters: Mapping[str, Scalar] = {}


class Answer(msgspec.Struct, frozen=True, eq=False):
    """What a step gave.

    Attributes:
        outputs: by name, `[1, time, …]`; `answer["y"]` is short for `answer.outputs["y"]`.
        position: the steps that the sequence has had.
        replayed: whether the server had applied the step before and sent its answer again.
        finish_reason: of a generation's last answer: end, stop_unit, length, limit or cancelled.
    """

    outputs: Arrays
    position: int
    replayed: bool = False
    finish_reason: str | None = None

    def __getitem__(self, name: str) -> Array:
        """Give the output of that name."""
        return self.outputs[name]


def answer_of(reply: Reply, position: int) -> Answer:
    """Read an answer; `position` holds where the server tells none."""
    parameters = reply.parameters
    reason = parameters.get("recur_finish_reason")
    return Answer(
        reply.outputs,
        int(parameters.get("recur_step", position)),
        bool(parameters.get("recur_replayed", False)),
        None if reason is None else str(reason),
    )


def as_arrays(inputs: Inputs) -> Arrays:
    """Make arrays of what was given; text becomes the protocol's BYTES."""
    return {name: _array(name, value) for name, value in inputs.items()}


def last_steps(inputs: Arrays, rows: NDArray[np.intp]) -> Arrays:
    """Cut the last valid step of `rows` out of a chunk: `[rows, 1, …]`."""
    ends = inputs["lengths"][rows] - 1 if "lengths" in inputs else -1
    return {
        name: array[rows, ends][:, np.newaxis] if array.ndim > 1 and array.shape[1] else array[rows]
        for name, array in inputs.items()
        if name != "lengths"
    }


def _array(name: str, value: ArrayLike) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidRequest(f"input '{name}' has parts of unequal lengths; pad them to one length") from error
    if array.dtype.kind not in "USO":
        return array
    encoded = np.empty(array.size, dtype=object)
    encoded[:] = [as_bytes(f"input '{name}'", element) for element in array.ravel().tolist()]
    return encoded.reshape(array.shape)


def as_bytes(what: str, value: object) -> bytes:
    """Encode text; `what` names it in the error where it is none, or none that UTF-8 can hold."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        raise InvalidRequest(f"{what} has {value!r}; integers of 64 bits, or all numbers or all text, are expected")
    if not isinstance(value, str):
        raise InvalidRequest(f"{what} has {value!r}; numbers, booleans, bytes or text are expected")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{what} has {value!r}; a lone surrogate is no text, send bytes or replace it") from error
