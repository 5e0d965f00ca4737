import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.series import (
    Batch,
    Series,
    Symbols,
    delayed,
    next_step,
    part_by_seed,
    part_in_order,
    tenth_by_seed,
    validate_by_seed,
)


@given(count=st.integers(0, 500), seed=st.integers(0, 2**32))
def test_parts_by_seed_hold_every_item_once_and_the_same_seed_gives_the_same(count, seed):
    parts = part_by_seed(range(count), seed)
    assert sorted(parts.train + parts.validation + parts.test) == list(range(count))
    assert len(parts.validation) == len(parts.test) == count // 10
    assert parts == part_by_seed(range(count), seed)
    assert str(seed) in parts.rule


def test_another_seed_parts_in_another_way():
    assert part_by_seed(range(100), 1).test != part_by_seed(range(100), 2).test


@given(count=st.integers(0, 500), seed=st.integers(0, 2**32))
def test_a_tenth_is_drawn_and_the_rest_is_left_in_order(count, seed):
    tenth, rest = (rows.tolist() for rows in tenth_by_seed(count, seed))
    assert len(tenth) == count // 10
    assert sorted(tenth + rest) == list(range(count))
    assert tenth == sorted(tenth)
    assert rest == sorted(rest)


def test_validation_is_drawn_from_training_and_test_stays_as_it_was():
    parts = validate_by_seed(list(range(50)), [100], 3)
    assert sorted(parts.train + parts.validation) == list(range(50))
    assert len(parts.validation) == 5
    assert parts.test == [100]
    assert parts.rule == "as released; a tenth of training validates, drawn by seed 3"


@given(steps=st.integers(0, 200))
def test_parts_in_order_are_the_values_one_after_another(steps):
    values = np.arange(steps, dtype=np.float32)[:, None]
    parts = part_in_order(values)
    assert np.array_equal(np.concatenate([parts.train, parts.validation, parts.test]), values)
    assert abs(len(parts.test) - steps / 10) < 1


def test_the_next_step_is_the_target_of_each():
    series = next_step(np.array([[1], [2], [3]], dtype=np.float32))
    assert series.inputs.tolist() == [[1], [2]]
    assert series.targets.tolist() == [[2], [3]]


def test_a_batch_is_its_rows_one_by_one():
    batch = Batch(np.zeros((2, 3, 1), np.float32), np.array([5, 7]))
    assert len(batch) == 2
    assert [row.targets.item() for row in batch] == [5, 7]
    assert isinstance(batch[0], Series)
    assert batch[0].inputs.shape == (3, 1)


def test_symbols_become_rows_with_a_single_one():
    batch = Symbols(np.array([[2, 0]]), np.array([1]), kinds=3).one_hot()
    assert batch.inputs.tolist() == [[[0, 0, 1], [1, 0, 0]]]
    assert batch.inputs.dtype == np.float32
    assert batch.targets.tolist() == [1]


def test_a_row_that_is_not_there_ends_in_an_error():
    with pytest.raises(IndexError):
        Batch(np.zeros((1, 1, 1), np.float32), np.zeros(1, np.int64))[1]


def test_a_delayed_series_has_its_targets_later_and_as_many_zeros_after_its_inputs():
    late = delayed(Series(np.ones((3, 2), np.float32), np.array([1, 2, 3])), 2)
    assert late.inputs.tolist() == [[1, 1]] * 3 + [[0, 0]] * 2
    assert late.targets.tolist() == [0, 0, 1, 2, 3]
    numbers = delayed(Series(np.array([4, 5]), np.ones((2, 3), np.float32)), 1)
    assert (numbers.inputs.tolist(), numbers.targets.tolist()) == ([4, 5, 0], [[0] * 3, [1] * 3, [1] * 3])
    one = delayed(Series(np.array([4, 5]), np.array(7)), 1)
    assert (one.inputs.tolist(), one.targets.tolist()) == ([4, 5, 0], 7)
