"""What is not OK, as gRPC carries it: a status with details on calls, a message on streams."""

import asyncio
from typing import TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from server.errors import InvalidRequest, RecurError
from server.pb import grpc_service_pb2 as pb
from server.types import SequenceId

DOMAIN = "recur"
DETAILS = "grpc-status-details-bin"

Metadata = tuple[tuple[str, bytes], ...]
Request = TypeVar("Request", bound=Message)


def parse(message: type[Request], data: bytes) -> Request:
    """Read a message; raises InvalidRequest, where grpc.aio would answer with the exception's text."""
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise InvalidRequest(f"the bytes are not a {message.DESCRIPTOR.full_name}") from error


def status_of(error: RecurError, request_id: str = "") -> tuple[str, Metadata]:
    """Give an error's text and trailing metadata: ErrorInfo, and RetryInfo where a later try may succeed."""
    text = error.text(request_id)
    metadata = {} if error.position is None else {"position": str(error.position)}
    details = [_packed(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))]
    if error.retry_after_seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(_milliseconds(error.retry_after_seconds))
        details.append(_packed(RetryInfo(retry_delay=delay)))
    status = Status(code=error.code.value[0], message=text, details=details)
    return text, ((DETAILS, status.SerializeToString()),)


async def abort(context: grpc.aio.ServicerContext[bytes, bytes], error: RecurError, request_id: str = "") -> None:
    """End a call with the error's status.

    Raises:
        AbortError: the call ends so.
        CancelledError: its client has gone meanwhile.
    """
    text, metadata = status_of(error, request_id)
    try:
        await context.abort(error.code, text, metadata)
    except grpc.aio.AbortError:
        raise
    except Exception as gone:  # gRPC's own classes for a call that is over derive from Exception alone
        raise asyncio.CancelledError from gone


def stream_error(error: RecurError, request_id: str) -> pb.ModelStreamInferResponse:
    """Write an error as a stream carries it: the text, and its parts as parameters."""
    response = pb.ModelStreamInferResponse(error_message=error.text(request_id))
    answer = response.infer_response
    answer.id = request_id
    answer.parameters["recur_code"].string_param = error.code.name
    answer.parameters["recur_reason"].string_param = error.reason
    if error.position is not None:
        answer.parameters["recur_step"].int64_param = error.position
    if error.retry_after_seconds is not None:
        answer.parameters["recur_retry_after_ms"].int64_param = _milliseconds(error.retry_after_seconds)
    return response


def notice(event: str, model: str = "", sequence: SequenceId | None = None) -> bytes:
    """Write what a stream is told unasked: what befell it, or a sequence of its."""
    response = pb.ModelStreamInferResponse()
    answer = response.infer_response
    answer.model_name = model
    answer.parameters["recur_notice"].string_param = event
    if isinstance(sequence, int) and sequence < 2**63:
        answer.parameters["sequence_id"].int64_param = sequence
    elif isinstance(sequence, int):
        answer.parameters["sequence_id"].uint64_param = sequence
    elif sequence is not None:
        answer.parameters["sequence_id"].string_param = sequence
    return response.SerializeToString()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _packed(message: ErrorInfo | RetryInfo) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
