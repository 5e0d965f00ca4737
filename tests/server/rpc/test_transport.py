"""The tests of every transport: one service, one client, and answers that do not tell which carried them."""

import asyncio
import importlib.util
import logging
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from server import options
from server.app import main
from server.errors import Draining, SequenceGone, StepGap
from server.pb import grpc_service_pb2 as pb
from server.rpc import connection, transport
from server.rpc.inference import STOPPING
from server.rpc.methods import handler
from server.rpc.transport import TransportMissing, check_transport, open_transport
from tests.server.fakes import PATIENCE_SECONDS
from tests.server.rpc.fakes import FakeInbox, method, service

DETAILS = "grpc-status-details-bin"
SECRET = "the cause that stays in the log"
# More than are written by the time that the last is handed over.
MANY = 300
EVERY = pytest.mark.parametrize("name", sorted(transport.TRANSPORTS))


@asynccontextmanager
async def listening(name: str, inbox: FakeInbox):
    """Serve over a transport; gives the service, the transport and a channel."""
    served = service(inbox)
    opened = open_transport(name, served, (handler(served),), MANY)
    port = await opened.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield served, opened, channel
    finally:
        await opened.stop(0)


def asked(channel, request: bytes = b"", **more):
    return channel.unary_unary(method("ModelInfer"))(request, **{"timeout": PATIENCE_SECONDS} | more)


async def until(holds) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110  the fake inbox tells of the first call alone
            await asyncio.sleep(0.01)


async def failed(call) -> tuple[grpc.StatusCode, str, Status]:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    error = failure.value
    return error.code(), error.details(), Status.FromString(dict(error.trailing_metadata()).get(DETAILS, b""))


@EVERY
async def test_calls_are_answered_each_with_its_own_answer(name):
    inbox = FakeInbox()
    async with listening(name, inbox) as (_, _, channel):
        calls = [asked(channel, pb.ModelInferRequest(id=str(number)).SerializeToString()) for number in range(10)]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await until(lambda: len(inbox.taken) == 10)
        assert not any(task.done() for task in tasks)
        for number in reversed(range(10)):
            inbox.answer(number)
        answers = await asyncio.gather(*tasks)
    assert [pb.ModelInferResponse.FromString(answer).id for answer in answers] == [str(number) for number in range(10)]
    assert len(set(inbox.clients)) == 1


@EVERY
async def test_an_error_is_the_calls_status_with_its_id_its_reason_and_where_the_sequence_stands(name):
    inbox = FakeInbox()
    inbox.refusal = StepGap("it is at step 7; ends à la fin", position=7)
    async with listening(name, inbox) as (_, _, channel):
        code, text, status = await failed(asked(channel, pb.ModelInferRequest(id="r7").SerializeToString()))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert text == status.message == "[request id: r7] FAILED_PRECONDITION STEP_GAP: it is at step 7; ends à la fin"
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("STEP_GAP", "recur", {"position": "7"})


@EVERY
async def test_what_nobody_expected_is_told_to_the_log_alone(name, caplog):
    inbox = FakeInbox()
    inbox.refusal = KeyError(SECRET)
    async with listening(name, inbox) as (_, _, channel):
        code, text, _ = await failed(asked(channel, pb.ModelInferRequest(id="r7").SerializeToString()))
    assert code is grpc.StatusCode.INTERNAL
    assert text == "[request id: r7] INTERNAL INTERNAL: the call failed; the server's log has the cause"
    # gRPC's poller may write of its own troubles to asyncio's log, where there are several loops in one process.
    ours = [record for record in caplog.records if record.name.startswith("server.")]
    assert [record.exc_info[1].args for record in ours if record.levelno == logging.ERROR] == [(SECRET,)]


@EVERY
async def test_a_call_that_is_cancelled_or_past_its_deadline_leaves_the_queue(name):
    inbox = FakeInbox()
    async with listening(name, inbox) as (_, _, channel):
        given_up = asked(channel)
        late = asked(channel, timeout=0.3)
        waiting = asyncio.ensure_future(asked(channel))
        await until(lambda: len(inbox.taken) == 3)
        given_up.cancel()
        assert (await failed(late))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: len(inbox.cancelled) == 2)
        # An answer that comes late is nobody's.
        for number in range(3):
            inbox.answer(number)
        await waiting
    assert len(inbox.cancelled) == 2
    assert all(chunks in inbox.chunks for chunks in inbox.cancelled)


@EVERY
async def test_a_message_and_an_answer_that_are_too_large_are_refused_in_grpcs_words(name, monkeypatch):
    for module in {connection, __import__(transport.TRANSPORTS[name], fromlist=["x"])}:
        if hasattr(module, "LARGEST_MESSAGE"):
            monkeypatch.setattr(module, "LARGEST_MESSAGE", 1000)
    inbox = FakeInbox()
    async with listening(name, inbox) as (_, _, channel):
        code, text, _ = await failed(asked(channel, bytes(1001)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert text == "SERVER: Received message larger than max (1001 vs. 1000)"
        assert inbox.taken == []
        call = asyncio.ensure_future(failed(asked(channel)))
        await inbox.took.wait()
        inbox.reply(0, bytes(1001))
        code, text, _ = await call
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text.endswith("Sent message larger than max (1001 vs. 1000)")


@EVERY
async def test_who_asks_while_the_server_drains_is_told_to_connect_again(name):
    async with listening(name, FakeInbox()) as (served, _, channel):
        served.draining.set()
        code, text, _ = await failed(asked(channel, pb.ModelInferRequest(id="r7").SerializeToString()))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert text == Draining(STOPPING).text("r7")


@EVERY
async def test_calls_that_wait_are_answered_before_the_transport_has_stopped(name):
    inbox = FakeInbox()
    async with listening(name, inbox) as (_, opened, channel):
        calls = [asyncio.ensure_future(asked(channel)) for _ in range(MANY)]
        await until(lambda: len(inbox.taken) == MANY)
        stopping = asyncio.create_task(opened.stop(PATIENCE_SECONDS))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        for number in range(MANY):
            inbox.reply(number, bytes(1000))
        assert await asyncio.gather(*calls) == [bytes(1000)] * MANY
        await asyncio.wait_for(stopping, PATIENCE_SECONDS)


@EVERY
async def test_calls_that_wait_too_long_are_ended_when_the_transport_stops(name):
    inbox = FakeInbox()
    async with listening(name, inbox) as (_, opened, channel):
        call = asyncio.ensure_future(failed(asked(channel)))
        await inbox.took.wait()
        await opened.stop(0.1)
        assert (await call)[0] is grpc.StatusCode.UNAVAILABLE


@EVERY
async def test_streams_and_other_methods_are_served_too(name):
    inbox = FakeInbox()
    async with listening(name, inbox) as (_, _, channel):
        stream = channel.stream_stream(method("ModelStreamInfer"))()
        await stream.write(b"")
        await inbox.took.wait()
        inbox.reply(0, SequenceGone("it has ended"))
        answer = pb.ModelStreamInferResponse.FromString(await stream.read())
        live = await channel.unary_unary(method("ServerLive"))(b"")
        stream.cancel()
    assert answer.error_message == "NOT_FOUND SEQUENCE_GONE: it has ended"
    assert pb.ServerLiveResponse.FromString(live).live


@EVERY
async def test_an_address_that_is_taken_cannot_be_listened_on(name):
    served = service()
    first, second = (open_transport(name, served, (handler(served),), 16) for _ in range(2))
    port = await first.start("127.0.0.1:0")
    with pytest.raises(OSError, match=r"."):
        await second.start(f"127.0.0.1:{port}")
    await first.stop(0)


def test_the_option_names_every_transport():
    assert set(options.TRANSPORTS) == {*transport.TRANSPORTS, transport.AUTO}


def test_a_transport_that_is_not_installed_ends_the_server_with_one_line(monkeypatch, repository, capfd):
    monkeypatch.setattr(transport, "find_spec", lambda _: None)
    check_transport("grpcio")
    check_transport("auto")
    with pytest.raises(TransportMissing):
        check_transport("native")
    assert main(["--repository", str(repository.root), "--transport", "native"], {}) == 2
    assert capfd.readouterr().err == (
        "server: --transport: 'native' needs the package pygrpc-native, which is not installed; "
        "install it with pip install '.[native]', or use --transport grpcio\n"
    )


def test_what_a_transport_needs_is_a_package_that_the_tests_install():
    assert all(importlib.util.find_spec(module) for module, _ in transport.NEEDED.values())
