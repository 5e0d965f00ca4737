"""Connections that break the rules, hang, or come in thousands: the others are answered as before."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack

import grpc
import numpy as np
import pytest

from demo.serving import Serving, serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.test_server_process import eventually
from tests.faults import http2
from tests.faults.conftest import FULL, assert_healthy, open_files, resident_bytes
from tests.wire import SECONDS, ask, values
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

MIB = 2**20
SOCKETS, RESETS, PINGS = 1000, 20_000, 50_000
CHANNELS = 10 if FULL else 2
# What the server takes of one connection unless it is told otherwise.
CALLS = 512
CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(193)
OTHERS = {
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/1 with a body": b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n123456789",
    "TLS": CLIENT_HELLO,
    "random bytes": random.Random(30).randbytes(4096),
    "zeros": bytes(4096),
    "a preface and random frames": http2.PREFACE + random.Random(31).randbytes(4096),
}

Healthy = Callable[[], None]


@pytest.fixture
def freed(server: Serving):
    """All that was opened is closed again in the end."""
    before = open_files(server)
    yield
    eventually(lambda: open_files(server) <= before + 8)


@pytest.mark.usefixtures("freed")
def test_a_thousand_sockets_with_half_a_preface(server: Serving, healthy: Healthy):
    with ExitStack() as stack:
        for _ in range(SOCKETS):
            stack.enter_context(http2.connection(server.listen)).sendall(http2.PREFACE[:9])
        healthy()
    healthy()


@pytest.mark.usefixtures("freed")
@pytest.mark.parametrize("protocol", OTHERS)
def test_what_is_not_grpc_is_hung_up_on(server: Serving, healthy: Healthy, protocol: str):
    with http2.connection(server.listen) as connected:
        connected.sendall(OTHERS[protocol])
        assert http2.closed(connected)
    healthy()


def reset(server: Serving) -> None:
    with http2.connection(server.listen) as connected:
        http2.begin(connected)
        http2.reset_calls(connected, RESETS)


@pytest.mark.usefixtures("freed")
def test_thousands_of_calls_that_are_reset_at_once_leave_no_memory(server: Serving, healthy: Healthy):
    for _ in range(2):
        reset(server)
        healthy()
    before = resident_bytes(server)
    reset(server)
    healthy()
    eventually(lambda: abs(resident_bytes(server) - before) < before / 10)


@pytest.mark.grpcio
@pytest.mark.usefixtures("freed")
def test_a_flood_of_pings_is_hung_up_on_and_told_why(server: Serving, healthy: Healthy):
    with http2.connection(server.listen) as connected:
        http2.begin(connected)
        http2.ping(connected, PINGS)
        healthy()
        [reason] = [payload for kind, payload in http2.frames(connected) if kind == http2.GOAWAY]
    assert reason.endswith(b"too_many_pings")
    healthy()


@pytest.mark.usefixtures("freed")
def test_calls_of_one_connection_beyond_the_most_are_refused_and_the_others_go_on(server: Serving, healthy: Healthy):
    block, over = http2.headers(), 100
    question = http2.message(ask(None, [1, 2]).SerializeToString())
    with http2.connection(server.listen) as connected:
        http2.begin(connected)
        for stream in range(1, 2 * (CALLS + over), 2):
            connected.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block))
        kinds = http2.frames(connected)
        refused = [next(payload for kind, payload in kinds if kind == http2.RESET) for _ in range(over)]
        assert set(refused) == {http2.REFUSED.to_bytes(4, "big")}
        healthy()
        connected.sendall(http2.frame(http2.DATA, 0, 1, question))
        data = next(payload for kind, payload in kinds if kind == http2.DATA)
    assert values(pb.ModelStreamInferResponse.FromString(data[5:]).infer_response) == ledger_answers([1, 2])


async def test_a_call_beyond_the_most_waits_at_its_client_until_another_ends(fault_repository):
    with serving(fault_repository.root, "--max-connection-calls", "5") as server:
        async with grpc.aio.insecure_channel(server.listen) as channel:
            calls = stubs.GRPCInferenceServiceStub(channel)
            streams = [calls.ModelStreamInfer() for _ in range(5)]
            assert await asyncio.gather(*map(answered, streams)) == [ledger_answers([1])] * 5
            waiting = [asyncio.create_task(answered(calls.ModelStreamInfer())) for _ in range(2)]
            await asyncio.to_thread(assert_healthy, server)
            await answered(streams[0])
            assert not any(task.done() for task in waiting)
            for stream in streams[:2]:
                await stream.done_writing()
            assert await asyncio.wait_for(asyncio.gather(*waiting), SECONDS) == [ledger_answers([1])] * 2
            for stream in streams:
                stream.cancel()


async def test_a_client_that_always_has_more_calls_than_one_connection_may_is_never_refused(fault_repository):
    with serving(fault_repository.root, "--max-connection-calls", "50") as server:
        async with grpc.aio.insecure_channel(server.listen) as channel:
            calls = stubs.GRPCInferenceServiceStub(channel)

            async def caller() -> None:
                for _ in range(10):
                    assert values(await calls.ModelInfer(ask(None, [1]), timeout=SECONDS)) == ledger_answers([1])

            await asyncio.gather(*(caller() for _ in range(200)))


async def answered(stream: grpc.aio.StreamStreamCall) -> list[int]:
    """Ask for a step of no sequence."""
    await stream.write(ask(None, [1]))
    return values((await stream.read()).infer_response)


@pytest.mark.usefixtures("freed")
def test_messages_that_are_never_finished_cost_little(server: Serving, healthy: Healthy):
    begun = http2.message(b"1234567890", length=32 * MIB)
    before = resident_bytes(server)
    with ExitStack() as stack:
        for _ in range(100):
            connected = stack.enter_context(http2.connection(server.listen))
            http2.begin(connected)
            connected.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.headers()))
            connected.sendall(http2.frame(http2.DATA, 0, 1, begun))
        healthy()
        assert resident_bytes(server) - before < 64 * MIB
    healthy()


@pytest.mark.usefixtures("freed")
async def test_thousands_of_streams_at_once_are_all_answered(server: Serving, healthy: Healthy):
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(channel_of_its_own(server)) for _ in range(CHANNELS)]
        streams = [
            stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer() for channel in channels for _ in range(CALLS)
        ]

        async def step(number: int, x: int, *, start: bool) -> pb.ModelStreamInferResponse:
            await streams[number].write(ask(f"stream {number}", [x], start=start))
            return await streams[number].read()

        for xs in ([3], [3, 4]):
            steps = (step(number, xs[-1], start=len(xs) == 1) for number in range(len(streams)))
            told = await asyncio.gather(*steps)
            assert not [one.error_message for one in told if one.error_message]
            assert all(values(one.infer_response) == ledger_answers(xs)[-1:] for one in told)
            await asyncio.to_thread(healthy)
        for stream in streams[::2]:
            stream.cancel()
        for stream in streams[1::2]:
            await stream.done_writing()
        assert [await stream.code() for stream in streams[1::2]] == [grpc.StatusCode.OK] * len(streams[1::2])
    await asyncio.to_thread(healthy)


def channel_of_its_own(server: Serving) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(server.listen, [("grpc.use_local_subchannel_pool", 1)])


@pytest.mark.usefixtures("freed")
async def test_a_reader_that_does_not_read_is_read_no_further_and_loses_nothing(server: Serving, healthy: Healthy):
    before, xs = resident_bytes(server), list(range(300))
    async with grpc.aio.insecure_channel(server.listen) as channel:
        stream = stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer(timeout=3 * SECONDS)
        request, sent = ask(None, xs), 0
        blocked = False
        while not blocked and sent < 20_000:
            try:
                await asyncio.wait_for(asyncio.shield(writing := asyncio.ensure_future(stream.write(request))), 1)
            except TimeoutError:
                blocked = True
            sent += 1
        assert blocked, "all was read though nothing was answered"
        await asyncio.to_thread(healthy)
        assert resident_bytes(server) - before < 64 * MIB
        expected = np.array(ledger_answers(xs)).tobytes()
        for _ in range(sent):
            assert (await stream.read()).infer_response.raw_output_contents[0] == expected
        await writing
        await stream.done_writing()
        assert await stream.read() == grpc.aio.EOF
