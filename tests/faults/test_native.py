"""What the native transport falls short in beside grpc.aio: where one changes, docs/operations.md is to change."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import grpc
import pytest

from demo.serving import Serving, serving
from tests.faults import http2
from tests.faults.conftest import assert_healthy
from tests.faults.test_silence import answer_pings, send
from tests.wire import SECONDS, ask

pytestmark = pytest.mark.e2e

PINGS = 50_000
INFER = "/inference.GRPCInferenceService/ModelInfer"
# The server asks, and gives up, within a second.
PATIENCE_SECONDS = 3
BOTH = pytest.mark.parametrize("transport", ["grpcio", "native"], indirect=True, scope="session")


@pytest.fixture(scope="module")
def impatient(fault_repository, transport: str) -> Iterator[Serving]:
    with serving(fault_repository.root, program="tests.faults.impatient") as running:
        yield running


def hung_up(connected) -> bool:
    """Whether the server closes the connection soon."""
    connected.settimeout(PATIENCE_SECONDS)
    return http2.closed(connected)


def refusal(server: Serving, request: bytes, metadata: Sequence[tuple[str, str]] = ()) -> tuple[grpc.StatusCode, str]:
    """How a call fails."""
    with grpc.insecure_channel(server.listen) as channel:
        call = channel.unary_unary(INFER)
        with pytest.raises(grpc.RpcError) as failed:
            call(request, metadata=metadata, timeout=SECONDS)
    return failed.value.code(), failed.value.details()


@BOTH
def test_a_flood_of_pings_is_put_up_with(impatient: Serving, transport: str):
    with http2.connection(impatient.listen) as connected:
        http2.begin(connected)
        http2.ping(connected, PINGS)
        assert_healthy(impatient)
        connected.settimeout(PATIENCE_SECONDS)
        with suppress(TimeoutError):
            told = [payload for kind, payload in http2.frames(connected) if kind == http2.GOAWAY]
    assert any(b"too_many_pings" in reason for reason in told) == (transport == "grpcio")


@BOTH
@pytest.mark.parametrize("said", [b"", http2.PREFACE[:9]])
def test_a_connection_that_is_not_greeted_on_is_held_for_longer(impatient: Serving, said: bytes, transport: str):
    with http2.connection(impatient.listen) as connected:
        connected.sendall(said)
        assert hung_up(connected) == (transport == "grpcio")


@BOTH
def test_who_speaks_after_a_ping_and_never_answers_it_is_not_asked_again(impatient: Serving, transport: str):
    with http2.connection(impatient.listen) as connected:
        http2.begin(connected)
        connected.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.headers()))
        answer_pings(connected, http2.frames(connected), 0)
        send(connected, ask(None, [1, 2]))
        assert hung_up(connected) == (transport == "grpcio")


@BOTH
def test_too_much_metadata_is_refused_in_other_words_and_far_too_much_ends_the_connection(
    impatient: Serving, transport: str
):
    request = ask(None, [1]).SerializeToString()
    much, far_too_much = (refusal(impatient, request, [("x-filler", "x" * 2**10 * size)])[0].name for size in (40, 64))
    expected = {"grpcio": ("RESOURCE_EXHAUSTED",) * 2, "native": ("UNKNOWN", "UNAVAILABLE")}
    assert (much, far_too_much) == expected[transport]
    assert_healthy(impatient)


@BOTH
def test_a_message_that_is_shorter_than_it_says_is_refused_at_once_in_the_librarys_words(
    impatient: Serving, transport: str
):
    with http2.connection(impatient.listen) as connected:
        http2.begin(connected)
        connected.sendall(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.headers(INFER)))
        connected.sendall(http2.frame(http2.DATA, 1, 1, http2.message(b"123", length=100)))
        first = next(kind for kind, _ in http2.frames(connected) if kind in (http2.HEADERS, http2.PING))
    assert first == {"grpcio": http2.PING, "native": http2.HEADERS}[transport], "answered before it asks"
    assert_healthy(impatient)
