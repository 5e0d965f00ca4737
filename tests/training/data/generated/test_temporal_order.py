import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.generated.temporal_order import make_temporal_order


@given(seed=st.integers(0, 2**32), steps=st.integers(10, 100))
def test_the_class_is_the_order_of_the_two_that_are_no_distractors(seed, steps):
    made = make_temporal_order(seed, 8, steps)
    for row, target in zip(made.inputs, made.targets, strict=True):
        places = np.flatnonzero(row >= 4)
        assert len(places) == 2
        assert steps // 10 <= places[0] < steps * 2 // 10
        assert steps * 4 // 10 <= places[1] < steps // 2
        first, second = row[places] - 4
        assert target == 2 * first + second


def test_all_four_classes_are_as_likely():
    counts = np.bincount(make_temporal_order(0, 4000, 10).targets)
    assert len(counts) == 4
    assert counts.min() > 850
