"""A model that needs whole sequences, served: chunks are kept by the session, and answered at the end."""

from collections.abc import Iterator
from itertools import pairwise

import grpc
import numpy as np
import pytest

from demo.serving import serving
from models.repository import Repository
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo
from tests.wire import ask, ask_many, output, position, refused, replayed

pytestmark = pytest.mark.e2e

MODEL = "backward"
MOST = 50


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Iterator[stubs.GRPCInferenceServiceStub]:
    repository = Repository(tmp_path_factory.mktemp("whole"))
    zoo.publish(repository, MODEL, zoo.sums_to_come())
    limits = ("--max-sequence-steps", str(MOST), "--max-state-bytes", "4KiB", "--max-chunk-steps", "60")
    with serving(repository.root, *limits) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def to_come(xs) -> list[int]:
    return np.cumsum(xs[::-1])[::-1].tolist()


def send(calls, name, xs, **options) -> pb.ModelInferResponse:
    return calls.ModelInfer(ask(name, xs, model=MODEL, **options))


def test_chunks_before_the_end_answer_their_step_alone(calls):
    first = send(calls, "a", [1, 2, 3], start=True)
    assert (list(first.outputs), position(first)) == ([], 3)
    second = send(calls, "a", [4])
    assert (list(second.outputs), position(second)) == ([], 4)
    last = send(calls, "a", [5, 6], end=True)
    assert output(last).tolist() == [to_come([1, 2, 3, 4, 5, 6])]
    assert output(last, "last").tolist() == [21]
    assert position(last) == 6
    with refused("NOT_FOUND SEQUENCE_GONE"):
        send(calls, "a", [7])


def test_any_chunks_give_the_same_answer(calls):
    random = np.random.default_rng(3)
    for trial in range(20):
        xs = random.integers(-100, 100, random.integers(1, MOST + 1)).tolist()
        cuts = sorted({0, len(xs), *random.integers(0, len(xs), 3).tolist()})
        for first, stop in pairwise(cuts):
            found = send(calls, f"b{trial}", xs[first:stop], start=first == 0, end=stop == len(xs))
        assert output(found).tolist() == [to_come(xs)], (trial, cuts)


def test_a_sequence_in_one_request_needs_no_session(calls):
    assert output(send(calls, None, [1, 2, 3])).tolist() == [[6, 5, 3]]
    assert output(send(calls, "c", [1, 2, 3], start=True, end=True)).tolist() == [[6, 5, 3]]


def test_a_question_is_answered_on_what_has_come_and_keeps_nothing(calls):
    send(calls, "d", [1, 2], start=True)
    for _ in range(2):
        question = ask("d", [10], model=MODEL)
        question.parameters["recur_peek"].bool_param = True
        found = calls.ModelInfer(question)
        assert (output(found).tolist(), position(found)) == ([[13, 12, 10]], 2)
    assert output(send(calls, "d", [3], end=True)).tolist() == [[6, 5, 3]]


def test_an_end_that_comes_again_is_answered_again(calls):
    send(calls, "e", [1, 2], start=True, step=0)
    for again in (False, True):
        found = send(calls, "e", [3], end=True, step=2)
        assert (output(found).tolist(), output(found, "last").tolist()) == ([[6, 5, 3]], [6])
        assert (position(found), replayed(found)) == (3, again)


def test_a_chunk_that_comes_again_is_kept_once(calls):
    send(calls, "f", [1], start=True, step=0)
    for again in (False, True):
        found = send(calls, "f", [2], step=1)
        assert (list(found.outputs), position(found), replayed(found)) == ([], 2, again)
    assert output(send(calls, "f", [3], step=2, end=True)).tolist() == [[6, 5, 3]]


def test_a_start_on_a_live_sequence_begins_anew(calls):
    send(calls, "g", [100, 200], start=True)
    send(calls, "g", [1], start=True)
    assert output(send(calls, "g", [2], end=True)).tolist() == [[3, 2]]


def test_a_sequence_of_too_many_steps_is_refused_and_goes_on_as_it_was(calls):
    send(calls, "h", [1] * (MOST - 1), start=True)
    with refused("INVALID_ARGUMENT INVALID_REQUEST"):
        send(calls, "h", [1, 1])
    found = send(calls, "h", [1], end=True)
    assert (output(found)[0, 0], position(found)) == (MOST, MOST)


def test_what_is_kept_counts_as_bytes_of_state(calls):
    begun = []
    with refused("RESOURCE_EXHAUSTED STATE_FULL"):
        for number in range(30):
            send(calls, f"i{number}", [1] * 40, start=True)
            begun.append(f"i{number}")
    assert begun
    # An end is answered though there is no room for what it brings.
    for name in begun:
        assert output(send(calls, name, [1] * 10, end=True))[0, 0] == 50
    send(calls, "j", [1] * 40, start=True)
    assert output(send(calls, "j", [1], end=True))[0, 0] == 41


def test_many_sequences_in_one_request_end_each_in_its_own_time(calls):
    ids, flags = [1, 2, 3], np.array([True] * 3)
    xs = np.array([[1, 2], [3, 0], [5, 6]])
    begun = calls.ModelInfer(
        ask_many(ids, xs, model=MODEL, sequence_start=flags, lengths=np.array([2, 1, 2]), sequence_end=~flags)
    )
    assert output(begun).shape == (3, 0)
    assert output(begun, "recur_step").tolist() == [2, 1, 2]
    ends = np.array([True, False, True])
    found = calls.ModelInfer(ask_many([*ids[:2], 99], np.array([[7], [8], [9]]), model=MODEL, sequence_end=ends))
    assert output(found).tolist() == [[10, 9, 7], [0, 0, 0], [0, 0, 0]]
    assert output(found, "sequence_status").tolist() == [0, 0, grpc.StatusCode.NOT_FOUND.value[0]]
    found = calls.ModelInfer(ask_many([2, 3], np.array([[1], [1]]), model=MODEL, sequence_end=np.array([True, True])))
    assert output(found).tolist() == [[12, 9, 1], [12, 7, 1]]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> Iterator[stubs.GRPCInferenceServiceStub]:
    """A server that runs two rows and sixteen steps at a time."""
    repository = Repository(tmp_path_factory.mktemp("crowded"))
    zoo.publish(repository, MODEL, zoo.sums_to_come())
    limits = ("--max-sequence-steps", str(MOST), "--max-batch", "2", "--max-steps", "16")
    with serving(repository.root, *limits) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("number", range(20))
def test_whatever_rows_come_together_each_ends_with_its_own_whole_and_again(crowded, number):
    random = np.random.default_rng(number)
    told: dict[int, list[int]] = {100 * number + row: [] for row in range(1, int(random.integers(2, 8)))}
    begins = True
    while told:
        ids, time = [*told, 10**9], int(random.integers(1, 20))
        lengths = random.integers(1, time + 1, len(ids))
        lengths[0] = time
        xs, ends = random.integers(-9, 9, (len(ids), time)), random.random(len(ids)) < 0.4
        # The last is of a sequence that nobody began, and fails alone.
        starts = np.array([begins] * len(told) + [False])
        steps = np.array([len(kept) for kept in told.values()] + [3])
        columns = {"lengths": lengths, "sequence_end": ends, "sequence_start": starts, "recur_step": steps}
        wholes = [[*kept, *xs[row, : lengths[row]].tolist()] for row, kept in enumerate(told.values())]
        fits = [len(whole) <= MOST for whole in wholes]
        for again in (False, True):
            found = crowded.ModelInfer(ask_many(ids, xs, model=MODEL, **columns))
            assert [code == 0 for code in output(found, "sequence_status")] == [*fits, False]
            assert output(found, "recur_replayed").tolist() == [fit and again for fit in [*fits, False]]
            for row, whole in enumerate(wholes):
                wanted = to_come(whole) if ends[row] and fits[row] else []
                answered = output(found)[row]
                assert answered[: len(wanted)].tolist() == wanted
                assert not answered[len(wanted) :].any()
        kept = zip(told, wholes, fits, ends, strict=False)
        told = {name: whole for name, whole, fit, end in kept if fit and not end}
        begins = False
