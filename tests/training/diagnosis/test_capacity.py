import numpy as np
import pytest
import torch

from tests.training.diagnosis.walks import Linear, delay_line, turned, walk_of
from training.architectures.rnn import RNN
from training.diagnosis.capacity import capacity


def measured(cell):
    torch.manual_seed(0)
    return capacity(walk_of(cell), np.random.default_rng(0))


@pytest.mark.parametrize("units", [3, 12, 30])
def test_a_delay_line_remembers_as_many_steps_as_it_has_units(units):
    found = measured(delay_line(units))
    assert found.total == pytest.approx(units, rel=0.01)
    assert found.of_delay[:units] == pytest.approx([1.0] * units, rel=0.01)
    assert not any(found.of_delay[units:])
    assert found.most == units


def test_a_linear_network_remembers_at_most_its_size_and_nearly_that():
    torch.manual_seed(2)
    found = measured(Linear(turned(10, 0.8)))
    assert 9 < found.total <= 10.05


def test_two_inputs_share_what_one_has_alone():
    both = Linear(torch.diag(torch.ones(10), -2), input_size=2)
    with torch.no_grad():
        both.U.zero_()
        both.U[0, 0] = both.U[1, 1] = 1
    found = measured(both)
    assert found.total == pytest.approx(12, rel=0.01)
    assert found.of_delay[:6] == pytest.approx([2.0] * 6, rel=0.01)


def test_a_network_that_does_not_read_itself_remembers_this_step_alone():
    cell = RNN(1, 8)
    with torch.no_grad():
        cell.W.zero_()
    found = measured(cell)
    assert found.of_delay[0] > 0.9
    assert found.total == found.of_delay[0]


def test_a_state_that_grows_away_is_told():
    assert measured(Linear(turned(4, 1e9).float())) is None
