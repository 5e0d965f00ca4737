import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import TensorSpec
from server.rpc.parts import parts, same_tensors, size_of
from server.types import ModelKey
from tests.server.fakes import ADDER, adder, chunk, manifest, signature

MODEL = adder(ADDER, capacity=1)
WHOLE_LENGTHS = adder(ADDER, capacity=1, lengths=None)
SECOND = adder(ModelKey(ADDER.name, 2), capacity=1)


def request(lengths):
    """Make a chunk whose row numbers are its ids and its inputs."""
    return chunk(*[[row] * length for row, length in enumerate(lengths)], ids=range(1, len(lengths) + 1))


def cut(lengths, rows=None, *, model=MODEL, max_batch=4):
    asked = request(lengths)
    return asked, parts(asked, np.arange(len(lengths)) if rows is None else np.array(rows, np.intp), model, max_batch)


def test_sizes_are_nearly_the_same_where_lengths_may_differ_and_the_same_where_not():
    assert [size_of(signature(manifest()), time) for time in (1, 2, 3, 4, 7, 8)] == [1, 2, 2, 3, 3, 4]
    assert [size_of(signature(manifest(lengths=None)), time) for time in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_a_request_whose_rows_may_all_run_together_stays_whole():
    asked, found = cut([2, 3, 3, 2])
    assert found == [asked]


def test_rows_of_other_sizes_run_apart():
    _, found = cut([1, 8, 1, 5, 15])
    assert [(one.place.tolist(), one.time, one.size) for one in found] == [
        ([0, 2], 1, 1),
        ([3], 5, 3),
        ([1, 4], 15, 4),
    ]


def test_more_rows_than_a_batch_takes_run_one_batch_after_another():
    _, found = cut([1] * 10)
    assert [one.place.tolist() for one in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_rows_that_are_left_out_are_in_no_part():
    _, found = cut([1, 1, 1, 1], rows=[0, 3])
    assert [(one.place.tolist(), list(one.ids)) for one in found] == [([0, 3], [1, 4])]
    assert cut([1, 1], rows=[])[1] == []


def test_short_rows_in_long_inputs_are_a_part_of_their_own_size():
    asked = request([8, 1])
    short = parts(asked, np.array([1]), MODEL, 4)
    assert [(one.time, one.size) for one in short] == [(1, 1)]


def test_rows_for_another_version_are_made_for_it():
    _, found = cut([1, 1], model=SECOND)
    assert [(one.model, one.place.tolist()) for one in found] == [(SECOND.key, [0, 1])]


def test_where_the_graph_takes_no_lengths_only_rows_as_long_run_together():
    _, found = cut([2, 3, 2], model=WHOLE_LENGTHS)
    assert [(one.place.tolist(), one.time, one.size) for one in found] == [([0, 2], 2, 2), ([1], 3, 3)]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(1, 5), st.data())
def test_every_row_is_in_one_part_that_fits_a_batch(lengths, max_batch, data):
    rows = data.draw(st.lists(st.sampled_from(range(len(lengths))), unique=True).map(sorted))
    asked, found = cut(lengths, rows, max_batch=max_batch)
    places = [np.arange(asked.rows) if one.place is None else one.place for one in found]
    assert sorted(row for place in places for row in place.tolist()) == rows
    for one, place in zip(found, places, strict=True):
        assert 1 <= one.rows <= max_batch
        assert {int(length).bit_length() for length in one.lengths} == {one.size}
        assert one.time == max(one.lengths) or one is asked
        assert one.lengths.tolist() == [lengths[row] for row in place]
        assert list(one.ids) == [row + 1 for row in place]
        assert one.inputs["x"][:, 0, 0].tolist() == place.tolist()


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"tolerance": 1e-3}, True),
        ({"inputs": (TensorSpec("x", "FP32", ("time", 2)),)}, False),
        ({"outputs": (TensorSpec("y", "FP64", ("time", 1)),)}, False),
    ],
)
def test_versions_with_the_same_tensors_may_answer_one_request(changes, same):
    assert same_tensors(MODEL, adder(SECOND.key, capacity=1, **changes)) is same
    assert same_tensors(MODEL, MODEL)
