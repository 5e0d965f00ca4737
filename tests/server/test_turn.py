import numpy as np
import pytest

from server.columns import constant
from server.errors import NotFinite
from server.turn import Turn
from server.types import Scope, Stored
from tests.server.fakes import chunk

CHUNKS = [
    chunk([1, 2], [3], ids=["a", 5], start=[True, False], step=[0, 7], incarnation="life"),
    chunk([4], [5], [6]),
    chunk([7, 8, 9], ids=["5"], end=True, scope=Scope("tenant", "adder")),
]


@pytest.fixture
def turn():
    return Turn(CHUNKS, np.array([3, 0, -1, -1, -1, 1], np.intp))


def test_the_rows_of_chunks_are_columns_in_order(turn):
    assert turn.lengths.tolist() == [2, 1, 1, 1, 1, 3]
    assert turn.start.tolist() == [True] + [False] * 5
    assert turn.end.tolist() == [False] * 5 + [True]
    assert turn.steps.tolist() == [0, 7, -1, -1, -1, -1]
    assert turn.numbered.tolist() == [True, True] + [False] * 4
    assert [row > 0 for row in turn.lives.tolist()] == [True, True] + [False] * 4
    assert [(found, first, stop) for found, first, stop in turn.chunk_rows()] == [
        (CHUNKS[0], 0, 2),
        (CHUNKS[1], 2, 5),
        (CHUNKS[2], 5, 6),
    ]


@pytest.mark.parametrize("times", [(3, 3), (3, 2), (1, 1), (1, 3)])
def test_lengths_are_the_chunks_own_whether_or_not_all_are_alike(times):
    chunks = [chunk([1.0] * time, [2.0] * time, lengths=constant(time, 2)) for time in times]
    turn = Turn(chunks, np.full(4, -1, np.intp))
    assert turn.lengths.tolist() == [times[0], times[0], times[1], times[1]]


def test_where_no_row_is_counted_there_is_no_column():
    assert Turn(CHUNKS[1:], np.array([-1, -1, -1, 1], np.intp)).numbered is None


def test_every_row_knows_whether_it_is_kept_and_whose_it_is(turn):
    assert [turn.keeps(row) for row in range(6)] == [True, True, False, False, False, True]
    assert [turn.owner(row) for row in (0, 1, 5)] == [
        (Scope("", "adder"), "a"),
        (Scope("", "adder"), 5),
        (Scope("tenant", "adder"), "5"),
    ]


def test_rows_that_are_answered_already_do_not_run(turn):
    assert turn.running().tolist() == [0, 1, 2, 3, 4, 5]
    turn.fail(4, NotFinite("no"))
    turn.replays[0] = Stored({}, 2)
    assert turn.running().tolist() == [1, 2, 3, 5]


def test_a_row_that_fails_is_where_it_was_before(turn):
    turn.before[:], turn.positions[:] = [0, 7, 0, 0, 0, 4], [2, 8, 1, 1, 1, 7]
    error = NotFinite("no")
    for row in (1, 2, 5):
        turn.fail(row, error)
    assert turn.positions.tolist() == [2, 7, 0, 1, 1, 4]
    assert turn.errors == {1: error, 2: error, 5: error}
