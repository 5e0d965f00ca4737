import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.own.builder import Builder
from training.data.own.runs import Run
from training.data.own.settings import TableData


def build(lengths: list[tuple[str, int]], **settings: object) -> list[tuple[list[float], list[float]]]:
    """Give inputs and targets of the sequences of runs (key, rows) whose rows are numbered over all."""
    builder, found, row = Builder(TableData(path="a.csv", inputs=("a",), **settings)), [], 0
    for key, length in lengths:
        values = np.arange(row, row + length, dtype=np.float32)[:, None]
        row += length
        found += builder.add(Run(key, values, 100 + values))
    found += builder.end()
    return [(one.inputs[:, 0].tolist(), one.targets.reshape(-1).tolist()) for one in found]


def test_runs_of_one_key_are_one_sequence():
    assert build([("a", 2), ("a", 1), ("b", 1)], targets=("b",)) == [([0, 1, 2], [100, 101, 102]), ([3], [103])]


def test_without_targets_the_next_row_is_the_target_and_a_single_row_has_none():
    assert build([("a", 3), ("b", 1), ("c", 2)]) == [([0, 1], [1, 2]), ([4], [5])]


def test_a_target_for_the_whole_sequence_is_that_of_its_last_row():
    assert build([("a", 2), ("a", 1)], targets=("b",), per_sequence=True) == [([0, 1, 2], [102])]


def test_a_long_sequence_is_cut_and_the_last_piece_is_what_is_left():
    assert build([("a", 5)], targets=("b",), longest=2) == [([0, 1], [100, 101]), ([2, 3], [102, 103]), ([4], [104])]


@given(lengths=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=8), longest=st.integers(2, 6))
def test_cutting_loses_no_step_and_no_piece_is_longer(lengths, longest):
    # The keys in order, because a sequence's runs follow each other.
    lengths.sort()
    for settings in ({}, {"targets": ("b",)}):
        whole, pieces = build(lengths, **settings), build(lengths, longest=longest, **settings)
        for i in (0, 1):
            assert [value for one in pieces for value in one[i]] == [value for one in whole for value in one[i]]
        assert all(len(inputs) <= longest for inputs, _ in pieces)
