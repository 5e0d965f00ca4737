import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.generated.key_value_recall import make_key_value_recall


@given(seed=st.integers(0, 2**32), pairs=st.integers(1, 8), more=st.integers(0, 5))
def test_every_key_is_asked_once_for_the_value_that_it_was_shown_with(seed, pairs, more):
    kinds = pairs + more
    made = make_key_value_recall(seed, 3, pairs, kinds)
    assert made.kinds == 2 * kinds + 1
    for inputs, targets in zip(made.inputs, made.targets, strict=True):
        shown = dict(inputs[:pairs].tolist())
        assert len(shown) == pairs
        assert all(key < kinds <= value < 2 * kinds for key, value in shown.items())
        assert inputs[pairs:, 1].tolist() == [2 * kinds] * pairs
        assert not targets[:pairs].any()
        assert [shown.pop(key) - kinds + 1 for key in inputs[pairs:, 0].tolist()] == targets[pairs:].tolist()


def test_keys_are_asked_in_another_order_than_they_came():
    made = make_key_value_recall(0, 1, 16, 32)
    assert not np.array_equal(made.inputs[0, :16, 0], made.inputs[0, 16:, 0])


def test_more_pairs_than_keys_are_refused():
    with pytest.raises(ValueError, match="5 pairs need as many different keys, and there are 4"):
        make_key_value_recall(0, 1, 5, 4)
