"""Between the client's values and tritonclient's messages: the one place that touches these untyped ones."""

from typing import Any

import numpy as np
from tritonclient.grpc import InferInput, InferResult, service_pb2
from tritonclient.utils import np_to_triton_dtype

from client.errors import InvalidRequest
from client.messages import Array, Event, Notice, Reply, Request, Scalar
from client.status import stream_error

Message = Any  # tritonclient ships no types


def encode(request: Request, request_id: str, *, notices: bool = False) -> Message:
    """Write a request as a ModelInferRequest."""
    message = _addressed(request, request_id)
    for name, array in request.inputs.items():
        tensor = _tensor(name, array)
        message.inputs.append(tensor._get_tensor())
        message.raw_input_contents.append(tensor._get_content())
    for name, value in _parameters(request, notices=notices).items():
        _set(name, message.parameters[name], value)
    return message


def decode(response: Message) -> Reply:
    """Read a ModelInferResponse."""
    result = InferResult(response)
    outputs = {output.name: result.as_numpy(output.name) for output in response.outputs}
    return Reply(response.id, outputs, _scalars(response.parameters))


def decode_streamed(response: Message) -> tuple[str, Event | Notice]:
    """Read a ModelStreamInferResponse: the id of the request that it is about, and what it says."""
    answer = response.infer_response
    if response.error_message:
        return answer.id, stream_error(response.error_message, _scalars(answer.parameters))
    reply = decode(answer)
    if not reply.id and "recur_notice" in reply.parameters:
        return "", Notice(str(reply.parameters["recur_notice"]), reply.parameters)
    return reply.id, reply


def _addressed(request: Request, request_id: str) -> Message:
    try:
        return service_pb2.ModelInferRequest(model_name=request.model, model_version=request.version, id=request_id)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"model {request.model!r} in version {request.version!r} cannot be sent; names of text are expected"
        ) from error


def _parameters(request: Request, *, notices: bool) -> dict[str, Scalar]:
    given: dict[str, Scalar] = dict(request.parameters)
    if request.sequence_id is not None:
        given |= {"sequence_id": request.sequence_id, "sequence_start": request.start, "sequence_end": request.end}
    if notices:
        given["recur_notices"] = True
    return given


def _set(name: str, parameter: Message, value: object) -> None:
    try:
        match value:
            case bool() | np.bool_():
                parameter.bool_param = bool(value)
            case int() | np.integer():
                parameter.int64_param = int(value)
            case float() | np.floating():
                parameter.double_param = float(value)
            case str():
                parameter.string_param = value
            case _:
                raise InvalidRequest(f"parameter '{name}' is {value!r}; a number, a boolean or text is expected")
    except ValueError as error:
        raise InvalidRequest(
            f"parameter '{name}' is {value!r}; an integer of 64 bits, or text without lone surrogates, is expected"
        ) from error


def _scalars(parameters: Message) -> dict[str, Scalar]:
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in parameters.items()}


def _tensor(name: str, array: Array) -> Message:
    dtype = np_to_triton_dtype(array.dtype)
    if dtype is None:
        raise InvalidRequest(f"input '{name}' is of {array.dtype}; numbers, booleans, bytes or text are expected")
    return InferInput(name, list(array.shape), dtype).set_data_from_numpy(array)
