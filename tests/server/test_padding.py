import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.manifest import StateSpec
from server.padding import Padding

NOTES = StateSpec("notes", "next.notes", "FP32", ("n", 2), length_of="count")
COUNT = StateSpec("count", "next.count", "INT64", ())
GRID = StateSpec("grid", "next.grid", "FP32", (2, "w"))
FIXED = StateSpec("h", "next.h", "FP32", (3,))


def row(length, value=1.0):
    return np.full((length, 2), value, np.float32)


def test_only_states_with_a_free_axis_are_ragged():
    assert Padding([NOTES, COUNT, FIXED]).names == {"notes"}
    assert Padding([FIXED]).names == set()


def test_rows_of_any_length_run_together_where_the_model_knows_it():
    assert [rows.tolist() for rows in Padding([NOTES, COUNT]).alike({"notes": [row(3), row(0), row(1)]})] == [[0, 1, 2]]


def test_rows_run_apart_where_an_axis_is_longer_and_the_model_cannot_know():
    wide, narrow = np.zeros((2, 4), np.float32), np.zeros((2, 1), np.float32)
    parts = Padding([GRID]).alike({"grid": [wide, narrow, wide]})
    assert [rows.tolist() for rows in parts] == [[0, 2], [1]]


def test_a_second_free_axis_is_never_padded():
    both = StateSpec("both", "next.both", "FP32", ("n", "w"), length_of="count")
    parts = Padding([both, COUNT]).alike({"both": [np.zeros((1, 2)), np.zeros((5, 2)), np.zeros((1, 3))]})
    assert [rows.tolist() for rows in parts] == [[0, 1], [2]]


@given(st.lists(st.integers(0, 5).flatmap(lambda size: arrays(np.float32, (size, 2))), min_size=1, max_size=6))
def test_what_is_padded_and_cut_is_what_it_was(rows):
    padding = Padding([NOTES, COUNT])
    padded = padding.pad({"notes": rows})
    assert padded["notes"].shape == (len(rows), max(map(len, rows)), 2)
    for number, array in enumerate(rows):
        assert not padded["notes"][number, len(array) :].any()
    again = padding.cut({**padded, "count": np.array(list(map(len, rows)))}, {})["notes"]
    for array, found in zip(rows, again, strict=True):
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(("count", "left"), [(2, 2), (9, 4), (0, 0), (-3, 0)])
def test_a_row_is_cut_to_the_length_that_came_with_the_inputs(count, left):
    padding = Padding([NOTES])
    [found] = padding.cut({"notes": np.ones((1, 4, 2))}, {"count": np.array([count])})["notes"]
    assert found.shape == (left, 2)


def test_what_was_cut_does_not_hold_the_batch():
    batch = np.zeros((2, 3, 2))
    [first, _] = Padding([NOTES]).cut({"notes": batch}, {"count": np.array([1, 3])})["notes"]
    batch[:] = 7
    assert not first.any()
    assert first.base is None
