import asyncio
import logging

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from server.errors import SequenceGone
from server.pb import grpc_service_pb2 as pb
from server.rpc.methods import SERVICE
from tests.server.fakes import PATIENCE_SECONDS
from tests.server.rpc.fakes import FakeContext, FakeInbox, method, service, serving

SECRET = "the cause that stays in the log"
UNSERVED = {
    "SystemSharedMemoryStatus",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
    "CudaSharedMemoryStatus",
    "CudaSharedMemoryRegister",
    "CudaSharedMemoryUnregister",
    "TraceSetting",
    "LogSettings",
}
UNARY = sorted(found.name for found in SERVICE.methods if not found.client_streaming)


async def call(channel, name, data=b""):
    """Make a call with raw bytes; the status it ends with, or the bytes of its answer."""
    try:
        return await channel.unary_unary(method(name))(data, timeout=PATIENCE_SECONDS)
    except grpc.aio.AioRpcError as error:
        return error


async def test_bytes_that_are_no_message_are_an_invalid_argument_in_our_words():
    async with serving(service()) as channel:
        for name in UNARY:
            error = await call(channel, name, b"\xff\xff")
            message = SERVICE.methods_by_name[name].input_type.full_name
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert error.details() == f"INVALID_ARGUMENT INVALID_REQUEST: the bytes are not a {message}"


async def test_calls_that_are_not_served_say_so_and_all_others_are():
    unserved = set()
    async with serving(service()) as channel:
        for name in UNARY:
            request = GetMessageClass(SERVICE.methods_by_name[name].input_type)()
            if name == "ModelInfer":
                continue
            error = await call(channel, name, request.SerializeToString())
            if not isinstance(error, bytes) and error.code() is grpc.StatusCode.UNIMPLEMENTED:
                unserved.add(name)
                assert error.details() == f"UNIMPLEMENTED NOT_SERVED: Recur does not serve {name}"
    assert unserved == UNSERVED


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, TypeError])
async def test_what_nobody_expected_is_told_to_the_log_alone(kind, caplog):
    inbox = FakeInbox()
    inbox.refusal = kind(SECRET)
    async with serving(service(inbox)) as channel:
        error = await call(channel, "ModelInfer", pb.ModelInferRequest(id="r7").SerializeToString())
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details().startswith("[request id: r7] INTERNAL INTERNAL: ")
    assert SECRET not in error.details()
    assert kind.__name__ not in error.details()
    # gRPC's poller may write of its own troubles to asyncio's log, where there are several loops in one process.
    ours = [record for record in caplog.records if record.name.startswith("server.")]
    assert [record.exc_info[1].args for record in ours if record.levelno == logging.ERROR] == [(SECRET,)]


async def test_an_error_is_the_calls_status_with_the_requests_id():
    inbox = FakeInbox()
    inbox.refusal = SequenceGone("it has ended")
    async with serving(service(inbox)) as channel:
        error = await call(channel, "ModelInfer", pb.ModelInferRequest(id="r7").SerializeToString())
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "[request id: r7] NOT_FOUND SEQUENCE_GONE: it has ended"
    assert "grpc-status-details-bin" in dict(error.trailing_metadata())


async def test_a_call_whose_client_has_gone_leaves_the_queue():
    inbox = FakeInbox()
    waiting = asyncio.create_task(service(inbox).infer(b"", FakeContext()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert inbox.cancelled == inbox.chunks
    inbox.answer(0)


async def test_a_call_cancelled_after_its_answer_cancels_nothing():
    inbox = FakeInbox()
    waiting = asyncio.create_task(service(inbox).infer(b"", FakeContext()))
    await asyncio.sleep(0)
    inbox.answer(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert inbox.cancelled == []
