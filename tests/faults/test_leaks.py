"""What clients leave behind: nothing that stays, however they go and however many they were."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from demo.serving import ROOT, Serving, serving
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.test_server_process import eventually, metric
from tests.faults import http2
from tests.faults.conftest import FULL, assert_healthy, open_files, resident_bytes
from tests.wire import SECONDS, ask, ask_many, output, position, reason, refused, replayed, values
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

Calls = stubs.GRPCInferenceServiceStub
MIB = 2**20
STREAMS = 20
SEQUENCES, CANCELLED = (1_000_000, 100_000) if FULL else (50_000, 2_000)
IDLE, IDLE_SECONDS = (100_000, 15) if FULL else (10_000, 2)
ROWS = 250
LIVE = 'recur_sequences{model="ledger",version="1"}'
# What sequences and streams that are gone may leave each, and what the allocator may keep however few they were.
BYTES, KEPT = 100, 0 if FULL else 8 * MIB


@pytest.fixture
def short_lived(fault_repository) -> Iterator[Serving]:
    """A server that ends sequences after half a second."""
    with serving(fault_repository.root, "--idle-seconds", "0.5") as running:
        yield running
        assert running.process.poll() is None
    assert not any("Traceback" in line for line in running.log), "".join(running.log)


def doomed(server: Serving) -> subprocess.Popen[str]:
    """Start a client and wait until it is at work."""
    command = [sys.executable, "-m", "tests.faults.doomed", server.listen, str(STREAMS)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_killed_client_leaves_nothing_behind(short_lived: Serving):
    with doomed(short_lived) as client:
        before = open_files(short_lived)
        client.kill()
    eventually(lambda: open_files(short_lived) < before)
    eventually(lambda: metric(short_lived, 'recur_queue_depth{model="ledger"}') == 0)
    eventually(lambda: metric(short_lived, LIVE) == 0)
    assert metric(short_lived, 'recur_expirations_total{model="ledger",version="1"}') == STREAMS
    assert_healthy(short_lived)


def test_a_client_that_stands_still_holds_nobody_up(server: Serving):
    before, files = resident_bytes(server), open_files(server)
    with doomed(server) as client:
        try:
            client.send_signal(signal.SIGSTOP)
            for _ in range(5):
                assert_healthy(server)
            eventually(lambda: metric(server, 'recur_queue_depth{model="ledger"}') == 0)
            assert resident_bytes(server) - before < 64 * MIB
        finally:
            client.kill()
    eventually(lambda: open_files(server) <= files)


def test_what_a_killed_client_was_told_stands(server: Serving):
    with doomed(server) as client:
        client.kill()
    eventually(lambda: metric(server, 'recur_queue_depth{model="ledger"}') == 0)
    with grpc.insecure_channel(server.listen) as channel:
        calls = Calls(channel)
        for number in range(STREAMS):
            with pytest.raises(grpc.RpcError) as failure:
                calls.ModelInfer(ask(f"doomed {client.pid} {number}", [0], step=2**40))
            assert reason(failure.value) == "FAILED_PRECONDITION STEP_GAP"
            done = int(failure.value.details().partition(" is at step ")[2].partition(",")[0])
            assert done % 100 == 1
            answer = calls.ModelInfer(ask(f"doomed {client.pid} {number}", [7], step=done))
            assert values(answer) == ledger_answers([number] * done + [7])[-1:]


def lives(calls: Calls, first: int, count: int) -> None:
    """Let sequences begin and end, in requests of many rows."""
    xs, flags = np.arange(ROWS)[:, None], np.array([True] * ROWS)
    expected = np.array([ledger_answers([x]) for x in range(ROWS)])
    for start in range(first, first + count, ROWS):
        ids = range(start + 1, start + 1 + ROWS)
        steps = np.zeros(ROWS, np.int64)
        answer = calls.ModelInfer(
            ask_many(ids, xs, sequence_start=flags, sequence_end=flags, recur_step=steps), timeout=SECONDS
        )
        assert not output(answer, "sequence_status").any()
        np.testing.assert_array_equal(output(answer), expected)


@pytest.mark.timeout(900)
def test_sequences_that_have_ended_leave_no_memory(server: Serving, calls: Calls):
    lives(calls, 10**6, 20_000)
    before, live = resident_bytes(server), metric(server, LIVE)
    lives(calls, 2 * 10**6, SEQUENCES)
    assert resident_bytes(server) - before < BYTES * SEQUENCES
    assert metric(server, LIVE) == live


@pytest.fixture
def forgetful(fault_repository, tmp_path) -> Iterator[Serving]:
    """A server that gives the many sequences of one model some time, and those of another half a second."""
    config = tmp_path / "recur.toml"
    config.write_text(f"idle_seconds = 0.5\n[models.lstm]\nidle_seconds = {IDLE_SECONDS}\n")
    with serving(fault_repository.root, "--config", str(config)) as running:
        yield running
        assert running.process.poll() is None
    assert not any("Traceback" in line for line in running.log), "".join(running.log)


def test_idle_sequences_end_while_some_of_them_step_and_their_memory_is_given_back(forgetful: Serving, seed: int):
    def idle() -> float:
        return metric(forgetful, 'recur_sequences{model="lstm",version="1"}')

    with grpc.insecure_channel(forgetful.listen) as channel:
        calls, pick = Calls(channel), random.Random(seed)
        begin(calls)
        eventually(lambda: idle() == 0)
        before = resident_bytes(forgetful)
        second = begin(calls)
        held = resident_bytes(forgetful)
        assert held - before > IDLE * 512
        race(calls, pick)
        told = Counter[str]()
        while idle() > IDLE / 100:
            told[step_on(calls, pick.randrange(1, IDLE + 1), second)] += 1
        assert told.keys() <= {"on", "gone"}
        eventually(lambda: idle() == 0)
        eventually(lambda: resident_bytes(forgetful) - before < (held - before) / 2)
        assert_healthy(forgetful)


def begin(calls: Calls) -> bytes:
    """Begin sequences that nobody goes on with; gives what the second step of each must be answered."""
    x, flags = np.full((ROWS, 1, 32), 0.5, np.float32), np.array([True] * ROWS)
    for first in range(1, IDLE, ROWS):
        answer = calls.ModelInfer(ask_many(range(first, first + ROWS), x, model="lstm", sequence_start=flags))
        assert not output(answer, "sequence_status").any()
    twice = calls.ModelInfer(ask(None, np.full((2, 32), 0.5, np.float32), model="lstm"))
    return output(twice)[0, 1].tobytes()


def step_on(calls: Calls, sequence: int, second: bytes) -> str:
    """Go on with one of those; it is gone, or it answers as from the state that it had."""
    try:
        answer = calls.ModelInfer(ask(sequence, np.full((1, 32), 0.5, np.float32), model="lstm"), timeout=SECONDS)
    except grpc.RpcError as error:
        return "gone" if reason(error) == "NOT_FOUND SEQUENCE_GONE" else reason(error)
    assert position(answer) > 2 or output(answer)[0, 0].tobytes() == second
    return "on"


def race(calls: Calls, pick: random.Random) -> None:
    """Step on sequences after any pause, until many steps came in time and many too late: each is told which."""
    states: dict[int, tuple[int, int]] = {}
    due = dict.fromkeys(range(100), 0.0)
    counts, pause, deadline = Counter[str](), threading.Event(), time.monotonic() + SECONDS
    while min(counts["on"], counts["gone"]) < 50:
        assert time.monotonic() < deadline, counts
        for sequence in [one for one, moment in due.items() if moment <= time.monotonic()]:
            counts[step(calls, sequence, states)] += 1
            due[sequence] = time.monotonic() + pick.uniform(0.2, 1.6)
        pause.wait(0.005)
    assert counts.keys() == {"begun", "on", "gone"}


def step(calls: Calls, sequence: int, states: dict[int, tuple[int, int]]) -> str:
    """Go on with a sequence, or begin it; its answer must be that of all of its steps."""
    position_before, state = states.get(sequence, (0, 0))
    request = ask(f"racing {sequence}", [position_before], step=position_before, start=not position_before)
    try:
        answer = calls.ModelInfer(request, timeout=SECONDS)
    except grpc.RpcError as error:
        states.pop(sequence)
        return "gone" if reason(error) == "NOT_FOUND SEQUENCE_GONE" else reason(error)
    expected = ledger_answers([position_before], state)
    assert (values(answer), position(answer)) == (expected, position_before + 1)
    states[sequence] = position(answer), expected[0]
    return "on" if position_before else "begun"


@pytest.mark.timeout(900)
def test_cancelled_streams_leave_no_memory(server: Serving):
    # Until as many have come, what the allocator keeps still grows in large pieces.
    cancelled(server, CANCELLED)
    before = resident_bytes(server)
    cancelled(server, CANCELLED)
    eventually(lambda: resident_bytes(server) - before < BYTES * CANCELLED + KEPT)
    eventually(lambda: metric(server, 'recur_queue_depth{model="ledger"}') == 0)


def cancelled(server: Serving, count: int) -> None:
    """Open streams, some on each connection, and cancel each when it has answered and a request is on its way."""
    together, cancel = 250, http2.CANCEL.to_bytes(4, "big")
    question = ask("cancelled", [1], start=True).SerializeToString()
    for _ in range(0, count, together):
        with http2.connection(server.listen) as connected:
            http2.begin(connected)
            streams = range(1, 2 * together, 2)
            connected.sendall(b"".join(http2.call(stream, question) for stream in streams))
            answers = (payload for kind, payload in http2.frames(connected) if kind == http2.DATA)
            assert not any(b"error" in next(answers) for _ in streams)
            more = http2.message(question)
            for stream in streams:
                last = http2.frame(http2.RESET, 0, stream, cancel)
                connected.sendall(http2.frame(http2.DATA, 0, stream, more) + last)


def test_an_ended_sequence_is_forgotten_within_a_bound_and_never_answered_wrongly(server: Serving, calls: Calls):
    begin = ask("early", [1], step=0, start=True, end=True)
    first = calls.ModelInfer(begin)
    assert replayed(calls.ModelInfer(begin))
    lives(calls, 3 * 10**6, 12_000)
    again = calls.ModelInfer(begin)
    assert (replayed(again), values(again)) == (False, values(first))
    with refused("NOT_FOUND SEQUENCE_GONE"):
        calls.ModelInfer(ask("early", [2], step=1))
