import numpy as np
import pytest

from training.data.generated.mackey_glass import make_mackey_glass


@pytest.mark.parametrize("delay", [17, 30])
def test_the_values_satisfy_the_equation(delay):
    x = make_mackey_glass(3, 600, delay)[:, 0].astype(np.float64)
    # Central differences of the fourth order, a unit apart: their own error is what the bound is for.
    slope = (x[:-4] - 8 * x[1:-3] + 8 * x[3:-1] - x[4:]) / 12
    now, delayed, slope = x[delay + 2 : -2], x[2 : -delay - 2], slope[delay:]
    expected = 0.2 * delayed / (1 + delayed**10) - 0.1 * now
    assert np.abs(slope - expected).max() < 0.01


def test_it_stays_where_it_is_known_to_stay_and_never_settles():
    x = make_mackey_glass(0, 3000)
    assert x.shape == (3000, 1)
    assert 0.2 < x.min() < x.max() < 1.4
    assert x[-500:].std() > 0.15


def test_close_histories_part_in_time():
    one, other = make_mackey_glass(1, 500), make_mackey_glass(2, 500)
    assert np.abs(one - other).max() > 0.1
    assert np.array_equal(one, make_mackey_glass(1, 500))
