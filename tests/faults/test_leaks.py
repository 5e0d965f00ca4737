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
from tests.faults.conftest import SCALE, assert_healthy, open_files, resident_bytes
from tests.wire import SECONDS, ask, ask_many, output, position, reason, refused, replayed, values
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

Calls = stubs.GRPCInferenceServiceStub
MIB = 2**20
STREAMS, SEQUENCES, IDLE = 20, 50_000 * SCALE, 20_000
ROWS = 250
LIVE = 'recur_sequences{model="ledger",version="1"}'
BYTES_A_SEQUENCE = 100


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


def test_sequences_that_have_ended_leave_no_memory(server: Serving, calls: Calls):
    lives(calls, 10**6, 20_000)
    before, live = resident_bytes(server), metric(server, LIVE)
    lives(calls, 2 * 10**6, SEQUENCES)
    grown = resident_bytes(server) - before
    assert grown < BYTES_A_SEQUENCE * SEQUENCES
    assert metric(server, LIVE) == live


def test_idle_sequences_end_while_some_of_them_step_and_their_memory_is_given_back(short_lived: Serving, seed: int):
    def none_live() -> bool:
        return metric(short_lived, 'recur_sequences{model="lstm",version="1"}') == 0

    with grpc.insecure_channel(short_lived.listen) as channel:
        calls = Calls(channel)
        begin(calls)
        eventually(none_live)
        before = resident_bytes(short_lived)
        begin(calls)
        held = resident_bytes(short_lived)
        assert held - before > IDLE * 512
        race(calls, random.Random(seed))
        eventually(none_live)
        eventually(lambda: resident_bytes(short_lived) - before < (held - before) / 2)


def begin(calls: Calls) -> None:
    """Begin sequences that nobody goes on with."""
    x, flags = np.full((ROWS, 1, 32), 0.5, np.float32), np.array([True] * ROWS)
    for first in range(1, IDLE, ROWS):
        calls.ModelInfer(ask_many(range(first, first + ROWS), x, model="lstm", sequence_start=flags))


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


def test_cancelled_streams_leave_no_memory(server: Serving, calls: Calls):
    def cancelled(count: int) -> None:
        for number in range(count):
            stream = calls.ModelStreamInfer(iter([ask("cancelled", [number], start=True)] * 3))
            next(stream)
            stream.cancel()

    cancelled(500)
    before = resident_bytes(server)
    cancelled(500 * SCALE)
    assert resident_bytes(server) - before < 16 * MIB
    eventually(lambda: metric(server, 'recur_queue_depth{model="ledger"}') == 0)


def test_an_ended_sequence_is_forgotten_within_a_bound_and_never_answered_wrongly(server: Serving, calls: Calls):
    begin = ask("early", [1], step=0, start=True, end=True)
    first = calls.ModelInfer(begin)
    assert replayed(calls.ModelInfer(begin))
    lives(calls, 3 * 10**6, 12_000)
    again = calls.ModelInfer(begin)
    assert (replayed(again), values(again)) == (False, values(first))
    with refused("NOT_FOUND SEQUENCE_GONE"):
        calls.ModelInfer(ask("early", [2], step=1))
