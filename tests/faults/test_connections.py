"""Connections that break the rules, hang, or come in thousands: the others are answered as before."""

import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack

import grpc
import numpy as np
import pytest

from demo.serving import Serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.test_server_process import eventually
from tests.faults import http2
from tests.faults.conftest import SCALE, open_files, resident_bytes
from tests.wire import SECONDS, ask, values
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

MIB = 2**20
SOCKETS, STREAMS, RESETS, PINGS = 1000, 1000 * SCALE, 2000 * SCALE, 5000 * SCALE
# What a stream that is gone may leave until Python collects its cycles.
BYTES_A_STREAM = 24 * 1024
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


@pytest.mark.usefixtures("freed")
def test_thousands_of_streams_that_are_reset_at_once(server: Serving, healthy: Healthy):
    block = http2.headers()

    def reset(count: int) -> None:
        with http2.connection(server.listen) as connected:
            http2.begin(connected)
            try:
                for number in range(count):
                    stream = 2 * number + 1
                    connected.sendall(
                        http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block)
                        + http2.frame(http2.RESET, 0, stream, http2.CANCEL.to_bytes(4, "big"))
                    )
            except ConnectionError:
                pass  # to hang up is one of the right answers
            healthy()

    reset(RESETS)
    before = resident_bytes(server)
    reset(RESETS)
    assert resident_bytes(server) - before < RESETS * BYTES_A_STREAM


@pytest.mark.usefixtures("freed")
def test_a_flood_of_pings_is_hung_up_on(server: Serving, healthy: Healthy):
    with http2.connection(server.listen) as connected:
        http2.begin(connected)
        try:
            for _ in range(PINGS):
                connected.sendall(http2.frame(http2.PING, 0, 0, bytes(8)))
        except ConnectionError:
            pass  # it has hung up already
        kinds = set()
        for kind, _ in http2.frames(connected):
            kinds.add(kind)
            if kind == http2.GOAWAY:
                break
        healthy()


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
    async with grpc.aio.insecure_channel(server.listen) as channel:
        calls = stubs.GRPCInferenceServiceStub(channel)
        streams = [calls.ModelStreamInfer() for _ in range(STREAMS)]

        async def step(number: int, x: int, *, start: bool) -> pb.ModelStreamInferResponse:
            await streams[number].write(ask(f"stream {number}", [x], start=start))
            return await streams[number].read()

        for xs in ([3], [3, 4]):
            told = await asyncio.gather(*(step(number, xs[-1], start=len(xs) == 1) for number in range(STREAMS)))
            assert not [one.error_message for one in told if one.error_message]
            assert all(values(one.infer_response) == ledger_answers(xs)[-1:] for one in told)
            await asyncio.to_thread(healthy)
        for stream in streams[::2]:
            stream.cancel()
        for stream in streams[1::2]:
            await stream.done_writing()
        assert [await stream.code() for stream in streams[1::2]] == [grpc.StatusCode.OK] * len(streams[1::2])
    await asyncio.to_thread(healthy)


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
