import asyncio

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from server.errors import InvalidRequest, SequenceGone, SequencesFull, StepGap
from server.pb import grpc_service_pb2 as pb
from server.rpc.status import abort, notice, parse, stream_error


class FakeContext:
    """Keeps what a call was ended with."""

    async def abort(self, code, text, metadata):
        self.code, self.text, self.metadata = code, text, dict(metadata)

    def status(self) -> Status:
        return Status.FromString(self.metadata["grpc-status-details-bin"])


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xff"])
def test_bytes_that_are_no_message_are_refused_by_the_messages_name(data):
    with pytest.raises(InvalidRequest) as refused:
        parse(pb.ModelInferRequest, data)
    assert refused.value.sentence == "the bytes are not a inference.ModelInferRequest"


def test_a_message_is_read():
    assert parse(pb.ModelInferRequest, pb.ModelInferRequest(id="7").SerializeToString()).id == "7"


async def test_a_call_ends_with_code_text_and_reason():
    context = FakeContext()
    await abort(context, SequenceGone("it has ended"), "r7")
    assert context.code is grpc.StatusCode.NOT_FOUND
    assert context.text == "[request id: r7] NOT_FOUND SEQUENCE_GONE: it has ended"
    status = context.status()
    assert (status.code, status.message) == (grpc.StatusCode.NOT_FOUND.value[0], context.text)
    info = ErrorInfo()
    [detail] = status.details
    assert detail.Unpack(info)
    assert (info.reason, info.domain) == ("SEQUENCE_GONE", "recur")


async def test_who_may_try_again_is_told_when():
    context = FakeContext()
    await abort(context, SequencesFull("no room"))
    retry = RetryInfo()
    assert context.status().details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1000


def test_a_streams_error_has_the_text_and_its_parts():
    response = stream_error(SequencesFull("no room"), "r7")
    assert response.error_message == "[request id: r7] RESOURCE_EXHAUSTED SEQUENCES_FULL: no room"
    answer = response.infer_response
    assert answer.id == "r7"
    assert answer.parameters["recur_code"].string_param == "RESOURCE_EXHAUSTED"
    assert answer.parameters["recur_reason"].string_param == "SEQUENCES_FULL"
    assert answer.parameters["recur_retry_after_ms"].int64_param == 1000


def test_a_streams_error_without_a_retry_has_no_hint():
    assert set(stream_error(SequenceGone("it has ended"), "").infer_response.parameters) == {
        "recur_code",
        "recur_reason",
    }


async def test_where_a_sequence_stands_is_told_on_calls_and_on_streams():
    error = StepGap("it is at step 7", position=7)
    context = FakeContext()
    await abort(context, error)
    info = ErrorInfo()
    assert context.status().details[0].Unpack(info)
    assert dict(info.metadata) == {"position": "7"}
    assert stream_error(error, "").infer_response.parameters["recur_step"].int64_param == 7


async def test_a_call_whose_client_has_gone_ends_without_a_word():
    class Gone:
        async def abort(self, code, text, metadata):
            raise RuntimeError("the call is over")

    with pytest.raises(asyncio.CancelledError):
        await abort(Gone(), SequenceGone("it has ended"))


@pytest.mark.parametrize(
    ("sequence", "field"),
    [(5, "int64_param"), (2**63, "uint64_param"), (2**64 - 1, "uint64_param"), ("5", "string_param")],
)
def test_a_notice_names_any_sequence(sequence, field):
    told = pb.ModelStreamInferResponse.FromString(notice("expired", "adder", sequence)).infer_response
    assert getattr(told.parameters["sequence_id"], field) == sequence
    assert (told.id, told.model_name, told.parameters["recur_notice"].string_param) == ("", "adder", "expired")
