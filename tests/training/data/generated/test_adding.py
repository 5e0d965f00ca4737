import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.generated.adding import make_adding


@given(seed=st.integers(0, 2**32), steps=st.integers(2, 60))
def test_a_mark_is_in_each_half_and_the_target_is_the_sum_of_the_marked(seed, steps):
    batch = make_adding(seed, 5, steps)
    values, marks = batch.inputs[..., 0], batch.inputs[..., 1]
    assert batch.inputs.shape == (5, steps, 2)
    assert (marks[:, : steps // 2].sum(axis=1) == 1).all()
    assert (marks[:, steps // 2 :].sum(axis=1) == 1).all()
    for row in range(5):
        assert batch.targets[row, 0] == pytest.approx(values[row][marks[row] == 1].sum())


def test_always_one_has_the_error_that_the_paper_names():
    assert np.square(make_adding(0, 20000, 10).targets - 1).mean() == pytest.approx(1 / 6, abs=0.005)
