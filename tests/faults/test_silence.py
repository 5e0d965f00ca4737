"""Clients that are gone, or stand still, without a word: the server asks, and hangs up on who does not answer."""

import signal
import socket
from collections.abc import Iterator

import pytest

from demo.serving import Serving, serving
from server.pb import grpc_service_pb2 as pb
from tests.e2e.test_server_process import eventually, metric
from tests.faults import http2
from tests.faults.conftest import assert_healthy, open_files
from tests.faults.test_leaks import LIVE, doomed
from tests.wire import ask, values
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

WAITING = 'recur_queue_depth{model="ledger"}'


@pytest.fixture(scope="module")
def impatient(fault_repository, transport) -> Iterator[Serving]:
    """A server that asks after half a second, and hangs up half a second later; sequences end as soon."""
    with serving(fault_repository.root, "--idle-seconds", "0.5", program="tests.faults.impatient") as running:
        yield running
        assert running.process.poll() is None
    assert not any("Traceback" in line for line in running.log), "".join(running.log)


def send(connected: socket.socket, request: pb.ModelInferRequest) -> None:
    """Send a request on the connection's one stream."""
    connected.sendall(http2.frame(http2.DATA, 0, 1, http2.message(request.SerializeToString())))


def begin(connected: socket.socket) -> None:
    """Open a stream, begin a sequence on it, and leave a request half sent."""
    http2.begin(connected)
    connected.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.headers()))
    send(connected, ask("half open", [1], start=True))
    connected.sendall(http2.frame(http2.DATA, 0, 1, http2.message(b"1234567890", length=1000)))


def answer_pings(connected: socket.socket, frames: Iterator[tuple[int, bytes]], count: int) -> None:
    """Answer so many of the server's questions whether somebody is there, and read the next."""
    for kind, payload in frames:
        if kind == http2.PING:
            if not count:
                return
            connected.sendall(http2.frame(http2.PING, http2.ACK, 0, payload))
            count -= 1


@pytest.mark.parametrize("answered", [0, 1, 4])
def test_a_stream_whose_client_falls_silent_is_freed_with_all_that_it_held(impatient: Serving, answered: int):
    files = open_files(impatient)
    with http2.connection(impatient.listen) as connected:
        begin(connected)
        answer_pings(connected, http2.frames(connected), answered)
        assert http2.closed(connected)
        eventually(lambda: open_files(impatient) <= files)
        eventually(lambda: metric(impatient, LIVE) == 0)
        assert metric(impatient, WAITING) == 0
    assert_healthy(impatient)


@pytest.mark.grpcio
@pytest.mark.parametrize("said", [b"", http2.PREFACE[:9]])
def test_a_connection_that_is_not_greeted_on_is_freed(impatient: Serving, said: bytes):
    check_hung_up(impatient, said)


@pytest.mark.parametrize("said", [http2.PREFACE, http2.PREFACE + http2.frame(4, 0, 0)])
def test_a_connection_without_a_call_is_freed_when_its_client_falls_silent(impatient: Serving, said: bytes):
    check_hung_up(impatient, said)


def check_hung_up(impatient: Serving, said: bytes) -> None:
    files = open_files(impatient)
    with http2.connection(impatient.listen) as connected:
        connected.sendall(said)
        assert http2.closed(connected)
        eventually(lambda: open_files(impatient) <= files)


def test_a_stream_whose_client_says_nothing_but_that_it_is_there_goes_on(impatient: Serving):
    files = open_files(impatient)
    with http2.connection(impatient.listen) as connected:
        frames = http2.frames(connected)
        http2.begin(connected)
        connected.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.headers()))
        answer_pings(connected, frames, 4)
        send(connected, ask(None, [1, 2]))
        data = next(payload for kind, payload in frames if kind == http2.DATA)
    assert values(pb.ModelStreamInferResponse.FromString(data[5:]).infer_response) == ledger_answers([1, 2])
    frames.close()
    eventually(lambda: open_files(impatient) <= files)


def test_a_client_that_stands_still_amid_its_answers_is_hung_up_on(impatient: Serving):
    files = open_files(impatient)
    with doomed(impatient) as client:
        try:
            assert open_files(impatient) > files
            client.send_signal(signal.SIGSTOP)
            eventually(lambda: open_files(impatient) <= files)
            eventually(lambda: metric(impatient, WAITING) == 0)
            eventually(lambda: metric(impatient, LIVE) == 0)
        finally:
            client.kill()
    assert_healthy(impatient)
