import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.codec.parameters import Parameters
from server.codec.rows import LONGEST_KNOWN, many_rows, one_row, unkept_rows
from server.codec.tensors import Tensors
from server.digest import life_of
from server.errors import InvalidRequest
from server.types import UNNUMBERED

LONG = "é" * 128


def tensors(rows=1, time=3, lengths=None, **reserved):
    given_ = None if lengths is None else np.array(lengths)
    return Tensors({"x": np.zeros((rows, time, 1), np.float32)}, {}, rows, time, given_, reserved)


def many(ids, **options):
    """Read the rows of a request that names these sequences."""
    given_ = [id_.encode() for id_ in ids] if isinstance(ids[0], str) else np.array(ids)
    return many_rows(Parameters(), tensors(len(ids), sequence_id=given_, **options))


def test_the_row_of_one_sequence_is_as_its_parameters_say():
    rows = one_row(Parameters(sequence_id="a", start=True, step=7, life=9), tensors(lengths=[2]))
    assert (list(rows.ids), rows.start.tolist(), rows.end.tolist()) == (["a"], [True], [False])
    assert (rows.steps.tolist(), rows.lives.tolist(), rows.lengths.tolist()) == ([7], [9], [2])
    assert rows.wrong == {}


def test_a_row_of_which_nothing_is_said_is_whole_goes_on_and_is_not_counted():
    rows = one_row(Parameters(sequence_id=5), tensors())
    assert (rows.start.tolist(), rows.end.tolist(), rows.lengths.tolist()) == ([False], [False], [3])
    assert (rows.steps.tolist(), rows.lives.tolist()) == ([UNNUMBERED], [0])


def test_the_end_is_a_rows_own():
    assert one_row(Parameters(sequence_id=5, end=True), tensors()).end.tolist() == [True]


def test_one_sequence_has_one_row():
    with pytest.raises(InvalidRequest, match=r"one row, this has 2.*input 'sequence_id'"):
        one_row(Parameters(sequence_id=5), tensors(2))


def test_one_sequence_is_named_in_one_way():
    with pytest.raises(InvalidRequest, match="parameter 'sequence_id' came with the input 'recur_step'"):
        one_row(Parameters(sequence_id=5), tensors(recur_step=np.array([0])))


def test_rows_without_a_sequence_are_not_kept():
    rows = unkept_rows(Parameters(), tensors(2, lengths=[1, 3]))
    assert (list(rows.ids), rows.lengths.tolist()) == ([], [1, 3])
    assert rows.steps.tolist() == [UNNUMBERED] * 2
    assert not rows.start.any()
    assert not rows.end.any()


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (Parameters(start=True), "sequence_start"),
        (Parameters(end=True), "sequence_end"),
        (Parameters(step=0), "recur_step"),
        (Parameters(life=1), "recur_incarnation"),
    ],
)
def test_what_is_said_of_a_sequence_needs_one(parameters, name):
    with pytest.raises(InvalidRequest, match=f"parameter '{name}' needs a sequence_id"):
        unkept_rows(parameters, tensors())
    with pytest.raises(InvalidRequest, match=f"parameter '{name}' came with the input 'sequence_id'"):
        many_rows(parameters, tensors(sequence_id=np.array([5])))


def test_what_inputs_say_of_a_sequence_needs_one_too():
    with pytest.raises(InvalidRequest, match="input 'sequence_start' needs a sequence_id"):
        unkept_rows(Parameters(), tensors(sequence_start=np.array([True])))


def test_many_sequences_are_not_named_twice():
    with pytest.raises(InvalidRequest, match="parameter 'sequence_id' came with the input 'sequence_id'"):
        many_rows(Parameters(sequence_id="a"), tensors(sequence_id=np.array([5])))


@pytest.mark.parametrize("lengths", [[0], [-1], [4], [2**40]])
@pytest.mark.parametrize("read", [one_row, unkept_rows])
def test_a_length_outside_the_inputs_is_refused(read, lengths):
    parameters = Parameters(sequence_id=5) if read is one_row else Parameters()
    with pytest.raises(InvalidRequest, match=r"'lengths' must be from 1 to .*3"):
        read(parameters, tensors(lengths=lengths))


def test_one_wrong_length_of_rows_that_are_not_kept_refuses_them_all():
    with pytest.raises(InvalidRequest, match="'lengths'"):
        unkept_rows(Parameters(), tensors(2, lengths=[3, 4]))


def test_rows_of_many_sequences_are_as_their_inputs_say():
    rows = many(
        ["a", "b"],
        lengths=[3, 1],
        sequence_start=np.array([True, False]),
        sequence_end=np.array([False, True]),
        recur_step=np.array([0, 7]),
        recur_incarnation=[b"life", b""],
    )
    assert (list(rows.ids), rows.wrong) == (["a", "b"], {})
    assert (rows.start.tolist(), rows.end.tolist()) == ([True, False], [False, True])
    assert (rows.steps.tolist(), rows.lengths.tolist()) == ([0, 7], [3, 1])
    assert rows.lives.tolist() == [life_of("life"), 0]


def test_of_rows_of_which_nothing_is_said_none_starts_ends_or_is_counted():
    rows = many([3, -4])
    assert (list(rows.ids), rows.lengths.tolist(), rows.steps.tolist()) == ([3, -4], [3, 3], [UNNUMBERED] * 2)
    assert not rows.start.any()
    assert not rows.end.any()
    assert rows.lives.tolist() == [0, 0]


@pytest.mark.parametrize("length", [0, -1, 4])
def test_a_wrong_length_is_its_rows_own(length):
    rows = many([1, 2, 3], lengths=[3, length, 1])
    assert {row: error.sentence for row, error in rows.wrong.items()} == {
        1: f"length {length} must be from 1 to the inputs' time, 3"
    }


def test_a_negative_step_is_its_rows_own():
    rows = many([1, 2, 3], recur_step=np.array([0, 5, -1]))
    assert {row: error.sentence for row, error in rows.wrong.items()} == {2: "recur_step -1 must be from 0"}


@pytest.mark.parametrize("bad", [b"\xff", b"a\0b", LONG.encode() + b"a"])
def test_a_text_that_cannot_be_an_id_is_its_rows_own(bad):
    rows = many_rows(Parameters(), tensors(3, sequence_id=[b"a", bad, LONG.encode()]))
    assert {row: type(error) for row, error in rows.wrong.items()} == {1: InvalidRequest}
    assert "256 bytes of UTF-8 without NUL" in rows.wrong[1].sentence
    assert (rows.ids[0], rows.ids[2]) == ("a", LONG)


@pytest.mark.parametrize("bad", [b"\xff", b"a\0b", LONG.encode() + b"a"])
def test_a_text_that_cannot_be_an_incarnation_is_its_rows_own(bad):
    rows = many([1, 2, 3], recur_incarnation=[b"life", bad, b""])
    assert {row: error.sentence for row, error in rows.wrong.items()} == {
        1: "recur_incarnation must be at most 256 bytes of UTF-8 without NUL"
    }
    assert [rows.lives.item(row) for row in (0, 2)] == [life_of("life"), 0]


@given(st.lists(st.integers(-2, 2) | st.sampled_from([2**63 - 1, -(2**63)]), min_size=1, max_size=8))
def test_every_id_is_asked_for_once_and_0_never(ids):
    rows = many(ids)
    right = [row for row in range(len(ids)) if row not in rows.wrong]
    assert right == [row for row, id_ in enumerate(ids) if id_ and id_ not in ids[:row]]
    assert [rows.ids[row] for row in right] == [ids[row] for row in right]


@given(st.lists(st.sampled_from(["", "a", "b", "5", "é"]), min_size=1, max_size=8))
def test_every_text_is_asked_for_once_and_an_empty_one_never(ids):
    rows = many(ids)
    right = [row for row in range(len(ids)) if row not in rows.wrong]
    assert right == [row for row, id_ in enumerate(ids) if id_ and id_ not in ids[:row]]
    assert [rows.ids[row] for row in right] == [ids[row] for row in right]


@pytest.mark.parametrize("count", [2, LONGEST_KNOWN // 8, LONGEST_KNOWN // 8 + 1])
def test_ids_that_come_again_are_read_alike(count):
    ids = [*range(2, count + 1), 2]
    for _ in range(2):
        rows = many(ids)
        assert list(rows.ids) == ids
        assert [(row, error.sentence) for row, error in rows.wrong.items()] == [
            (count - 1, "sequence_id 2 came twice in one request")
        ]
        rows.wrong.clear()
