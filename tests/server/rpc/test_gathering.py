from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import TensorSpec
from server.answers import refused
from server.errors import InvalidRequest, QueueFull, SequenceGone
from server.rpc.gathering import Gathering
from server.types import Answer
from tests.server.fakes import chunk

SPECS = (TensorSpec("y", "FP32", ("time", 1)), TensorSpec("last", "INT64", (2,)))
GONE = SequenceGone("it has ended")


class Request:
    """A gathering of a request whose row r has 10 * r in its outputs; keeps the answers that it gives."""

    def __init__(self, lengths, specs=SPECS) -> None:
        self.answers: list[Answer] = []
        self.chunk = chunk(*[[1.0] * length for length in lengths], ids=range(1, len(lengths) + 1))
        self.gathering = Gathering(specs, len(lengths), max(lengths), self.answers.append)

    def part(self, rows):
        return self.chunk.cut_out(np.array(rows))

    def take(self, rows, *, errors=None, replayed=None):
        part = self.part(rows)
        y = np.zeros((len(rows), part.time, 1), np.float32)
        for number, row in enumerate(rows):
            y[number, : part.lengths[number]] = 10 * row
        last = np.array([[row, -row] for row in rows])
        flags = None if replayed is None else np.array([row in replayed for row in rows])
        self.gathering.take(part, Answer({"y": y, "last": last}, np.array(rows) + 100, flags, errors or {}))

    def rows(self):
        [answer] = self.answers
        return answer.outputs["y"][..., 0].tolist(), answer.outputs["last"].tolist(), answer.positions.tolist()


def test_an_answer_to_all_rows_passes_as_it_is():
    request = Request([1, 1])
    answer = Answer({}, np.array([1, 1]))
    request.gathering.take(request.chunk, answer)
    assert request.answers == [answer]


def test_rows_come_to_their_places_in_whatever_order_they_are_done():
    request = Request([1, 3, 2])
    request.take([1])
    request.take([2, 0])
    assert request.rows() == (
        [[0, 0, 0], [10, 10, 10], [20, 20, 0]],
        [[0, 0], [1, -1], [2, -2]],
        [100, 101, 102],
    )


def test_nothing_is_answered_before_every_row_is():
    request = Request([1, 1, 1])
    request.gathering.refuse({1: GONE})
    request.take([0])
    assert request.answers == []
    request.take([2])
    assert len(request.answers) == 1


def test_a_request_of_which_no_row_can_run_is_answered_at_once():
    request = Request([2, 1])
    request.gathering.refuse({0: GONE, 1: InvalidRequest("no")})
    [answer] = request.answers
    assert answer.errors.keys() == {0, 1}
    assert answer.outputs["y"].shape == (2, 2, 1)
    assert not answer.outputs["y"].any()
    assert answer.outputs["last"].dtype == np.int64


def test_refusing_no_row_answers_nothing():
    request = Request([1])
    request.gathering.refuse({})
    assert request.answers == []


def test_errors_and_stored_answers_are_told_at_their_places():
    request = Request([1, 1, 1, 1])
    request.gathering.refuse({2: GONE})
    refusal = InvalidRequest("no")
    request.take([3, 1], errors={1: refusal}, replayed={3})
    request.take([0])
    [answer] = request.answers
    assert answer.errors == {2: GONE, 1: refusal}
    assert answer.replayed.tolist() == [False, False, False, True]


def test_a_part_for_which_the_queue_had_no_room_is_refused_alone():
    request = Request([1, 2, 1])
    full = QueueFull("full")
    request.take([0, 2])
    part = request.part([1])
    request.gathering.take(part, refused(part, full))
    [answer] = request.answers
    assert answer.errors == {1: full}
    assert answer.outputs["y"][..., 0].tolist() == [[0, 0], [0, 0], [20, 0]]


def test_a_whole_request_that_is_refused_is_zeros():
    request = Request([2, 2])
    request.gathering.take(request.chunk, refused(request.chunk, QueueFull("full")))
    [answer] = request.answers
    assert answer.errors.keys() == {0, 1}
    assert answer.outputs["y"].shape == (2, 2, 1)


def test_only_the_outputs_that_are_asked_for_are_gathered():
    request = Request([1, 1], specs=SPECS[1:])
    request.take([1])
    request.take([0])
    assert request.answers[0].outputs.keys() == {"last"}


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.data())
def test_however_a_request_is_cut_its_answer_is_the_same(lengths, data):
    order = data.draw(st.permutations(range(len(lengths))))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(lengths)))) | {0, len(lengths)})
    request, expected = Request(lengths), Request(lengths)
    for first, stop in pairwise(cuts):
        request.take(list(order[first:stop]))
    expected.take(list(range(len(lengths))))
    assert request.rows() == expected.rows()
