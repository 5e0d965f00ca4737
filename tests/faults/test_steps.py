"""Steps that are cancelled, late, sent again, out of order or to nobody: each is applied once, or not at all."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest

from demo.serving import Serving, serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.test_server_process import eventually, metric
from tests.wire import SECONDS, ask, position, reason, refused, replayed, values
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

Calls = stubs.GRPCInferenceServiceStub
# Steps of a request that runs for about half a second.
LONG = 200_000
WAITING = 'recur_queue_depth{model="ledger"}'
# How many chunks have left the queue to run.
BEGUN = 'recur_stage_duration_seconds_count{model="ledger",stage="queue",version="1"}'


class Ledger:
    """A client's own record of one sequence: what it has been told, and what it must be told next."""

    def __init__(self, calls: Calls, sequence: int | str) -> None:
        self.calls = calls
        self.sequence = sequence
        self.step = 0
        self.state = 0
        self.replays = 0

    def ask(self, *xs: int, **options: object) -> pb.ModelInferRequest:
        return ask(self.sequence, xs, step=self.step, start=self.step == 0, **options)  # type: ignore[arg-type]

    def told(self, xs: list[int], answer: pb.ModelInferResponse) -> None:
        """Check an answer against the record, and go on."""
        expected = ledger_answers(xs, self.state)
        assert values(answer) == expected
        assert position(answer) == self.step + len(xs)
        self.step, self.state = position(answer), expected[-1]
        self.replays += replayed(answer)

    def send(self, *xs: int, **options: object) -> None:
        self.told(list(xs), self.calls.ModelInfer(self.ask(*xs, **options), timeout=SECONDS))


@pytest.fixture
def busy(calls: Calls) -> grpc.Future:
    """A request of no sequence that keeps the runtime busy."""
    return calls.ModelInfer.future(ask(None, [1] * LONG), timeout=SECONDS)


def test_a_deadline_that_passes_leaves_a_step_done_once_or_not_at_all(calls: Calls):
    ledger, codes = Ledger(calls, "deadline"), Counter[grpc.StatusCode]()
    ledger.send(1)
    for number in range(150):
        xs = [number] * (1 + 20 * number)
        try:
            answer = calls.ModelInfer(ledger.ask(*xs), timeout=0.001)
        except grpc.RpcError as error:
            codes[error.code()] += 1
            ledger.send(*xs)
        else:
            ledger.told(xs, answer)
    assert codes.keys() == {grpc.StatusCode.DEADLINE_EXCEEDED}
    ledger.send(7)


def test_a_step_that_waits_longer_than_it_allows_is_refused_and_can_be_sent_again(calls: Calls, busy: grpc.Future):
    ledger, refusals = Ledger(calls, "queued"), []
    while not refusals:
        try:
            ledger.send(5, timeout=1000)
        except grpc.RpcError as error:
            refusals.append(reason(error))
        else:
            assert not busy.done(), "nothing waited"
    assert refusals == ["DEADLINE_EXCEEDED QUEUE_TIMEOUT"]
    ledger.send(6)
    assert ledger.replays == 0
    assert len(values(busy.result())) == LONG


def test_a_step_cancelled_in_the_queue_is_not_run(server: Serving, calls: Calls):
    ledger = Ledger(calls, "cancelled")
    ledger.send(1)
    begun = metric(server, BEGUN)
    busy = calls.ModelInfer.future(ask(None, [1] * LONG), timeout=SECONDS)
    eventually(lambda: metric(server, BEGUN) > begun)
    step = calls.ModelInfer.future(ledger.ask(2))
    eventually(lambda: metric(server, WAITING) > 0)
    step.cancel()
    eventually(lambda: metric(server, WAITING) == 0)
    assert not busy.done(), "nothing was in the way"
    ledger.send(3)
    ledger.send(4)


def test_a_step_cancelled_anywhere_leaves_its_sequence_consistent(calls: Calls):
    ledger, seed = Ledger(calls, "anywhere"), 16
    pick = random.Random(seed)
    ledger.send(0)
    for number in range(150):
        step = calls.ModelInfer.future(ledger.ask(number))
        for _ in range(pick.randrange(3)):
            calls.ServerLive(pb.ServerLiveRequest())
        step.cancel()
        ledger.send(number)
    assert 0 < ledger.replays < 150, "all were cancelled early, or all late"


def test_a_step_cancelled_while_it_runs_is_committed_once(server: Serving, calls: Calls):
    ledger = Ledger(calls, "running")
    ledger.send(1)
    begun = metric(server, BEGUN)
    step = calls.ModelInfer.future(ledger.ask(*[2] * LONG))
    eventually(lambda: metric(server, BEGUN) > begun)
    step.cancel()
    ledger.send(*[2] * LONG)
    assert ledger.replays == 1
    ledger.send(3)


def test_the_same_step_ten_times_at_once_is_one_commit_and_ten_equal_answers(server: Serving, calls: Calls):
    ledger = Ledger(calls, "ten")
    ledger.send(1)
    with ExitStack() as stack, ThreadPoolExecutor(10) as threads:
        channels = [
            stack.enter_context(grpc.insecure_channel(server.listen, [("grpc.use_local_subchannel_pool", 1)]))
            for _ in range(10)
        ]
        for number in range(20):
            request = ledger.ask(number, number + 1)
            sent = [threads.submit(Calls(channel).ModelInfer, request, timeout=SECONDS) for channel in channels]
            answers = [one.result() for one in sent]
            assert len({bytes(answer.raw_output_contents[0]) for answer in answers}) == 1
            assert sorted(map(replayed, answers)) == [False] + [True] * 9
            ledger.told([number, number + 1], answers[0])


def test_the_same_step_ten_times_on_one_stream_is_one_commit_in_order(calls: Calls):
    ledger = Ledger(calls, "stream")
    answers = [one.infer_response for one in calls.ModelStreamInfer(iter([ledger.ask(4, 5)] * 10), timeout=SECONDS)]
    assert [replayed(answer) for answer in answers] == [False] + [True] * 9
    for answer in answers:
        assert values(answer) == ledger_answers([4, 5])


def test_a_step_that_does_not_follow_is_refused_and_the_state_is_unmoved(calls: Calls):
    ledger = Ledger(calls, "order")
    for xs in ([1], [2, 3], [4]):
        ledger.send(*xs)
    for expected, step, xs in (
        ("FAILED_PRECONDITION STEP_CONFLICT", 3, [9]),
        ("FAILED_PRECONDITION STEP_CONFLICT", 3, [4, 4]),
        ("FAILED_PRECONDITION STEP_GAP", 6, [5]),
        ("FAILED_PRECONDITION STEP_GAP", 2**63 - 1, [5]),
        ("FAILED_PRECONDITION STEP_ALREADY_APPLIED", 1, [2, 3]),
        ("FAILED_PRECONDITION STEP_ALREADY_APPLIED", 0, [1]),
        ("INVALID_ARGUMENT INVALID_REQUEST", -1, [5]),
    ):
        with refused(expected):
            calls.ModelInfer(ask(ledger.sequence, xs, step=step))
    with refused("FAILED_PRECONDITION FENCED"):
        calls.ModelInfer(ask(ledger.sequence, [5], step=4, life="another"))
    ledger.send(5)
    assert ledger.replays == 0


def test_a_start_again_is_the_answer_again_or_refused_and_never_a_new_state(calls: Calls):
    ledger = Ledger(calls, "begun")
    ledger.send(1)
    ledger.step = 0
    ledger.state = 0
    ledger.send(1)
    assert ledger.replays == 1
    with refused("FAILED_PRECONDITION STEP_CONFLICT"):
        calls.ModelInfer(ask("begun", [2], step=0, start=True))
    with refused("INVALID_ARGUMENT INVALID_REQUEST"):
        calls.ModelInfer(ask("begun", [2], step=1, start=True))
    ledger.send(2)
    with refused("ALREADY_EXISTS SEQUENCE_EXISTS"):
        calls.ModelInfer(ask("begun", [1], step=0, start=True))
    ledger.send(3)


def test_a_start_after_the_end_is_a_new_life_and_the_end_again_is_its_answer(calls: Calls):
    ledger = Ledger(calls, "ended")
    ledger.send(1)
    end = ledger.ask(2, end=True)
    first, again = calls.ModelInfer(end), calls.ModelInfer(end)
    assert values(first) == values(again) == ledger_answers([1, 2])[1:]
    assert (replayed(first), replayed(again)) == (False, True)
    with refused("NOT_FOUND SEQUENCE_GONE"):
        calls.ModelInfer(ask("ended", [3], step=2))
    anew = Ledger(calls, "ended")
    anew.send(9)
    anew.send(8)


@pytest.mark.parametrize("step", [None, 0, 3])
def test_an_unknown_id_is_never_answered_from_zeros(calls: Calls, step: int | None):
    for sequence in (424242, "424242", "ä", "../x", "{}:*", "x" * 256):
        with refused("NOT_FOUND SEQUENCE_GONE"):
            calls.ModelInfer(ask(sequence, [1], step=step))


def test_ids_that_look_alike_are_sequences_of_their_own(calls: Calls):
    ledgers = [
        Ledger(calls, sequence) for sequence in (5, "5", "5 ", "\u0455", "s", "S", "ä", "a\u0308", "{}:*", "../x")
    ]
    for number, ledger in enumerate(ledgers):
        ledger.send(number)
    for number, ledger in enumerate(ledgers):
        ledger.send(number + 100)


@pytest.mark.parametrize("sequence", ["x" * 257, "x" * 2**20, "a\0b"])
def test_an_id_that_cannot_be_is_refused(calls: Calls, sequence: str):
    with refused("INVALID_ARGUMENT INVALID_REQUEST"):
        calls.ModelInfer(ask(sequence, [1], start=True))


def test_an_expired_sequence_is_gone_and_its_last_step_is_still_answered(fault_repository):
    with (
        serving(fault_repository.root, "--idle-seconds", "0.3") as server,
        grpc.insecure_channel(server.listen) as channel,
    ):
        ledger = Ledger(Calls(channel), "idle")
        ledger.send(1)
        last = ledger.ask(2)
        ledger.send(2)
        eventually(lambda: metric(server, 'recur_sequences{model="ledger",version="1"}') == 0)
        with refused("NOT_FOUND SEQUENCE_GONE"):
            ledger.send(3)
        again = ledger.calls.ModelInfer(last)
        assert (replayed(again), values(again)) == (True, ledger_answers([1, 2])[1:])
        with refused("NOT_FOUND SEQUENCE_GONE"):
            ledger.calls.ModelInfer(ask("idle", [3]))
