import numpy as np
import pytest

from training.data.generated.mackey_glass import make_mackey_glass


@pytest.mark.parametrize("delay", [17, 30])
def test_the_values_satisfy_the_equation(delay):
    x = make_mackey_glass(3, 600, delay)[:, 0].astype(np.float64)
    now, delayed = x[delay:], x[:-delay]
    slope = 0.2 * delayed / (1 + delayed**10) - 0.1 * now
    # Over two units the values change by the integral of the slope, here by Simpson's rule.
    integral = (slope[:-2] + 4 * slope[1:-1] + slope[2:]) / 3
    assert np.abs(now[2:] - now[:-2] - integral).max() < 2e-4


def test_it_stays_where_it_is_known_to_stay_and_never_settles():
    x = make_mackey_glass(0, 3000)
    assert x.shape == (3000, 1)
    assert 0.2 < x.min() < x.max() < 1.4
    assert x[-500:].std() > 0.15


def test_close_histories_part_in_time():
    one, other = make_mackey_glass(1, 500), make_mackey_glass(2, 500)
    assert np.abs(one - other).max() > 0.1
    assert np.array_equal(one, make_mackey_glass(1, 500))
