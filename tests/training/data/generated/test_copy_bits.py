import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.generated.copy_bits import make_copy_bits


@given(seed=st.integers(0, 2**32), length=st.integers(1, 30), bits=st.integers(1, 9))
def test_vectors_come_back_in_order_after_the_flag(seed, length, bits):
    for one in make_copy_bits(seed, 3, [length], bits):
        assert one.inputs.shape == (2 * length + 1, bits + 1)
        assert one.targets.shape == (2 * length + 1, bits)
        assert set(one.inputs.flat) <= {0, 1}
        assert one.inputs[:, bits].nonzero()[0].tolist() == [length]
        assert not one.inputs[length + 1 :].any()
        assert np.array_equal(one.targets[length + 1 :], one.inputs[:length, :bits])


def test_nothing_is_asked_before_the_flag():
    for one in make_copy_bits(0, 20):
        assert np.isnan(one.targets[: one.asked + 1]).all()
        assert len(one.inputs) == 2 * one.asked + 1


def test_lengths_are_drawn_from_those_that_may_be_and_bits_are_fair():
    made = make_copy_bits(0, 400, [3, 7])
    assert {one.asked for one in made} == {3, 7}
    assert 0.45 < np.mean([one.inputs[: one.asked, :8].mean() for one in made]) < 0.55
