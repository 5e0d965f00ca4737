"""Errors read from what calls, streams and rows carry."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from client.errors import Full, InvalidRequest, SequenceGone, ServerFault, StepGap, Unavailable
from client.status import DETAILS, call_error, row_error, stream_error


class Ended(grpc.RpcError, grpc.Call):
    """A call that has ended, as gRPC raises it."""

    def __init__(self, code, details, metadata=()):
        self._code, self._details, self._metadata = code, details, metadata

    def code(self):
        return self._code

    def details(self):
        return self._details

    def trailing_metadata(self):
        return self._metadata

    def initial_metadata(self):
        return ()

    def is_active(self):
        return False

    def time_remaining(self):
        return None

    def cancel(self):
        return False

    def add_callback(self, callback):
        return False


def packed(*messages):
    details = []
    for message in messages:
        details.append(Packed())
        details[-1].Pack(message)
    return ((DETAILS, Status(code=9, details=details).SerializeToString()), ("other", "text"))


def test_a_call_tells_reason_position_and_sentence():
    info = ErrorInfo(reason="STEP_GAP", domain="recur", metadata={"position": "12"})
    text = "[request id: 3] FAILED_PRECONDITION STEP_GAP: step 14 came: 12 is next"
    error = call_error(Ended(grpc.StatusCode.FAILED_PRECONDITION, text, packed(info)))
    assert isinstance(error, StepGap)
    assert (error.position, error.sentence) == (12, "step 14 came: 12 is next")


def test_a_call_tells_the_hint():
    hint = Duration()
    hint.FromMilliseconds(1250)
    metadata = packed(ErrorInfo(reason="SEQUENCES_FULL"), RetryInfo(retry_delay=hint))
    error = call_error(Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED SEQUENCES_FULL: no", metadata))
    assert isinstance(error, Full)
    assert error.retry_after_seconds == 1.25


@pytest.mark.parametrize("metadata", [None, (), ((DETAILS, b"\xff not a status"),)])
def test_an_error_from_the_way_has_no_reason_and_its_text_as_it_is(metadata):
    error = call_error(Ended(grpc.StatusCode.UNAVAILABLE, "Socket closed", metadata))
    assert isinstance(error, Unavailable)
    assert (error.reason, error.sentence) == ("", "Socket closed")


def test_a_stream_tells_everything_in_parameters():
    parameters = {"recur_code": "FAILED_PRECONDITION", "recur_reason": "STEP_GAP", "recur_step": 12}
    error = stream_error("[request id: 3] FAILED_PRECONDITION STEP_GAP: wait", parameters)
    assert isinstance(error, StepGap)
    assert (error.position, error.sentence, error.retry_after_seconds) == (12, "wait", None)
    full = {"recur_code": "RESOURCE_EXHAUSTED", "recur_reason": "SEQUENCES_FULL", "recur_retry_after_ms": 50}
    assert stream_error("no room", full).retry_after_seconds == 0.05


def test_a_stream_of_another_server_has_its_text_alone_and_is_no_lost_answer():
    error = stream_error("inference failed", {})
    assert isinstance(error, ServerFault)
    assert (error.code, error.reason, error.sentence) == ("UNKNOWN", "UNNAMED", "inference failed")


def test_a_row_tells_its_code_and_reason():
    assert row_error(0, b"") is None
    gone = row_error(5, b"NOT_FOUND SEQUENCE_GONE: expired")
    assert isinstance(gone, SequenceGone)
    assert gone.sentence == "expired"
    assert isinstance(row_error(3, b"bad \xff row"), InvalidRequest)
    assert isinstance(row_error(99, b"?"), ServerFault)
