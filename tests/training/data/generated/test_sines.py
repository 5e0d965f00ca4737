import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.generated.sines import make_sines


@given(seed=st.integers(0, 2**32), count=st.integers(1, 4), steps=st.integers(1, 80), waves=st.integers(1, 4))
def test_the_target_is_the_next_value_and_none_is_above_1(seed, count, steps, waves):
    batch = make_sines(seed, count, steps, waves)
    assert batch.inputs.shape == batch.targets.shape == (count, steps, 1)
    assert np.array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert np.abs(batch.targets).max() <= 1


def test_a_single_wave_obeys_the_recurrence_of_a_sine():
    x = make_sines(0, 3, 100, waves=1).inputs[..., 0].astype(np.float64)
    # x[t+1] + x[t-1] is x[t] times twice the cosine of the frequency, the same for every t.
    ratio = (x[:, 2:] + x[:, :-2]).sum(axis=1) / x[:, 1:-1].sum(axis=1)
    assert np.abs(x[:, 2:] + x[:, :-2] - ratio[:, None] * x[:, 1:-1]).max() < 1e-4
    assert ((2 * np.cos(2 * np.pi / 10) <= ratio) & (ratio < 2 * np.cos(2 * np.pi / 50) + 1e-4)).all()
