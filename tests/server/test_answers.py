import numpy as np
import pytest

from models.manifest import TensorSpec
from server.answers import Piece, answers, refused
from server.errors import NotFinite, QueueFull
from server.signature import Signature
from server.turn import Turn
from server.types import Stored
from tests.server.fakes import chunk

BOTH = (TensorSpec("y", "FP32", ("time", 1)), TensorSpec("last", "INT64", (2,)))
ERROR = NotFinite("no")


def outputs(*rows, time=3):
    """Outputs of rows, told by a number each, as long as the longest row of the turn."""
    y = np.array([[number * 10 + step for step in range(time)] for number in rows], np.float32)
    return {"y": y[..., None], "last": np.array([[number, -number] for number in rows])}


def told(turn, *pieces):
    """Answers with their outputs as lists."""
    return [
        (found, answer, answer.outputs["y"][..., 0].tolist(), answer.outputs["last"].tolist())
        for found, answer in answers(Signature((), BOTH), turn, pieces)
    ]


@pytest.fixture
def chunks():
    return [chunk([1, 2], [3], ids="ab"), chunk([4], [5, 6, 7]), chunk([8], ids="c")]


@pytest.fixture
def turn(chunks):
    made = Turn(chunks, np.array([0, 1, -1, -1, 2], np.intp))
    made.positions[:] = [2, 9, 1, 3, 5]
    return made


def test_rows_that_ran_together_are_cut_for_their_chunks(turn, chunks):
    found = told(turn, Piece(np.arange(5), outputs(1, 2, 3, 4, 5)))
    assert [asked for asked, *_ in found] == chunks
    assert [y for _, _, y, _ in found] == [
        [[10, 11], [20, 21]],
        [[30, 31, 32], [40, 41, 42]],
        [[50]],
    ]
    assert [last for *_, last in found] == [[[1, -1], [2, -2]], [[3, -3], [4, -4]], [[5, -5]]]
    assert [answer.positions.tolist() for _, answer, *_ in found] == [[2, 9], [1, 3], [5]]
    assert all(answer.errors == {} and answer.replayed is None for _, answer, *_ in found)


def test_rows_that_ran_apart_are_put_together(turn):
    pieces = [
        Piece(np.array([0, 3]), outputs(1, 4)),
        Piece(np.array([4]), outputs(5)),
        Piece(np.array([1, 2]), outputs(2, 3)),
    ]
    found = told(turn, *pieces)
    assert [y for _, _, y, _ in found] == [[[10, 11], [20, 21]], [[30, 31, 32], [40, 41, 42]], [[50]]]
    assert [last for *_, last in found] == [[[1, -1], [2, -2]], [[3, -3], [4, -4]], [[5, -5]]]


def test_a_row_with_an_error_is_zeros_though_it_ran(turn):
    turn.fail(1, ERROR)
    turn.fail(4, ERROR)
    found = told(turn, Piece(np.arange(5), outputs(1, 2, 3, 4, 5)))
    assert [y for _, _, y, _ in found] == [[[10, 11], [0, 0]], [[30, 31, 32], [40, 41, 42]], [[0]]]
    assert [last for *_, last in found] == [[[1, -1], [0, 0]], [[3, -3], [4, -4]], [[0, 0]]]
    assert [answer.errors for _, answer, *_ in found] == [{1: ERROR}, {}, {0: ERROR}]
    assert found[0][1].outputs["y"].dtype == np.float32
    assert found[0][1].outputs["last"].dtype == np.int64


def test_a_row_that_is_answered_again_stands_beside_those_that_ran(turn):
    stored = {"y": np.array([[7]], np.float32), "last": np.array([7, -7])}
    turn.replays[1] = Stored(stored, 9)
    found = told(turn, Piece(np.array([0, 2, 3, 4]), outputs(1, 3, 4, 5)))
    assert found[0][2] == [[10, 11], [7, 0]]
    assert found[0][3] == [[1, -1], [7, -7]]
    assert [answer.replayed.tolist() for _, answer, *_ in found] == [[False, True], [False, False], [False]]


def test_nothing_may_have_run_at_all(turn):
    for row in range(5):
        turn.fail(row, ERROR)
    found = told(turn)
    assert [y for _, _, y, _ in found] == [[[0, 0], [0, 0]], [[0] * 3, [0] * 3], [[0]]]
    assert [answer.errors for _, answer, *_ in found] == [{0: ERROR, 1: ERROR}] * 2 + [{0: ERROR}]


def test_a_chunk_that_is_refused_is_refused_row_by_row():
    error = QueueFull("full")
    answer = refused(chunk([1], [2], ids="ab"), error)
    assert (answer.errors, answer.positions.tolist(), answer.outputs) == ({0: error, 1: error}, [0, 0], {})
