"""Errors out of what gRPC and the protocol carry: a status with details, a stream's parameters, a row's text."""

import re
from collections.abc import Iterable, Mapping

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from client.errors import ClientError, error_of
from client.messages import Scalar

DETAILS = "grpc-status-details-bin"
TEXT = re.compile(r"(?:\[request id: .*?\] )?([A-Z_]+) ([A-Z_]+): (.*)", re.DOTALL)
CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def call_error(call: grpc.RpcError) -> ClientError:
    """Read how a call ended; its details give reason, position and hint, and its text the sentence."""
    assert isinstance(call, grpc.Call | grpc.aio.AioRpcError)
    code = call.code()
    text = call.details() or "the call ended without a word"
    reason, position, hint = _details(call.trailing_metadata() or ())
    found = TEXT.fullmatch(text)
    sentence = found[3] if found and reason else text
    return error_of(code.name, reason, sentence, position=position, retry_after_seconds=hint)


def stream_error(text: str, parameters: Mapping[str, Scalar]) -> ClientError:
    """Read an error that came as a message; a server that knows no parameters has the text alone."""
    found = TEXT.fullmatch(text)
    code, reason, sentence = found.groups() if found else ("UNKNOWN", "", text)
    position, hint = parameters.get("recur_step"), parameters.get("recur_retry_after_ms")
    return error_of(
        str(parameters.get("recur_code", code)),
        str(parameters.get("recur_reason", reason)) or "UNNAMED",
        sentence,
        position=None if position is None else int(position),
        retry_after_seconds=None if hint is None else float(hint) / 1000,
    )


def row_error(code: int, text: bytes) -> ClientError | None:
    """Read a row's status; None where the row is good."""
    if code == 0:
        return None
    found = TEXT.fullmatch(text.decode(errors="replace"))
    reason, sentence = (found[2], found[3]) if found else ("UNNAMED", text.decode(errors="replace"))
    return error_of(CODES.get(code, "UNKNOWN"), reason, sentence)


def _details(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[str, int | None, float | None]:
    reason, position, hint = "", None, None
    info, retry = ErrorInfo(), RetryInfo()
    for packed in (value for key, value in metadata if key == DETAILS and isinstance(value, bytes)):
        for detail in _status(packed).details:
            if detail.Unpack(info):
                reason, told = info.reason, info.metadata.get("position", "")
                position = int(told) if told.isdigit() else None
            elif detail.Unpack(retry):
                hint = retry.retry_delay.ToTimedelta().total_seconds()
    return reason, position, hint


def _status(packed: bytes) -> Status:
    try:
        return Status.FromString(packed)
    except DecodeError:  # a proxy's own details are none of ours
        return Status()
