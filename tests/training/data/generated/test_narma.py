import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.generated import narma
from training.data.generated.narma import make_narma


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_the_targets_satisfy_the_equation_and_stay_bounded(seed):
    series = make_narma(seed, 50)
    u, after = series.inputs[:, 0].astype(np.float64), series.targets[:, 0].astype(np.float64)
    for t in range(10, 49):
        # The target at t is y[t + 1].
        y = after[:t]
        expected = 0.3 * y[-1] + 0.05 * y[-1] * y[-10:].sum() + 1.5 * u[t - 9] * u[t] + 0.1
        assert abs(after[t] - expected) < 1e-6
    assert 0 < after.min() < after.max() < 2
    assert u.max() < 0.5


def test_inputs_on_which_it_grows_without_bound_are_drawn_again(monkeypatch):
    monkeypatch.setattr(narma, "BOUND", 0.6)
    assert make_narma(0, 20).targets.max() < 0.6
