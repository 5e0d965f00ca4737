"""The plain values that the client asks with and is answered with."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from client.errors import ClientError

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
    return {name: _array(value) for name, value in inputs.items()}


def last_steps(inputs: Arrays, rows: NDArray[np.intp]) -> Arrays:
    """Cut the last valid step of `rows` out of a chunk: `[rows, 1, …]`."""
    ends = inputs["lengths"][rows] - 1 if "lengths" in inputs else -1
    return {
        name: array[rows, ends][:, np.newaxis] if array.ndim > 1 and array.shape[1] else array[rows]
        for name, array in inputs.items()
        if name != "lengths"
    }


def _array(value: ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "US":
        return array
    encoded = [text.encode() if isinstance(text, str) else text for text in array.ravel().tolist()]
    return np.array(encoded, dtype=object).reshape(array.shape)
