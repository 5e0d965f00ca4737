import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.generated.copy_memory import make_copy_memory


@given(seed=st.integers(0, 2**32), blank=st.integers(1, 50))
def test_symbols_come_back_at_the_end_after_the_blank(seed, blank):
    made = make_copy_memory(seed, 3, blank)
    assert made.inputs.shape == made.targets.shape == (3, blank + 20)
    assert np.array_equal(made.targets[:, -10:], made.inputs[:, :10])
    assert not made.targets[:, :-10].any()
    assert set(made.inputs[:, :10].flat) <= set(range(1, 9))
    assert made.kinds == 10


@pytest.mark.parametrize("blank", [1, 7])
def test_the_question_is_asked_just_before_the_answer(blank):
    rest = make_copy_memory(0, 1, blank).inputs[0, 10:].tolist()
    assert rest == [0] * (blank - 1) + [9] + [0] * 10
