import pytest
import torch
from torch import nn

from training.architectures.leaky import Leaky
from training.architectures.rnn import RNN


@pytest.mark.parametrize("options", [{"alpha": 0.5}, {"per_unit": True}, {"learned": True, "per_unit": True}])
def test_units_that_do_not_read_each_other_equal_the_closed_form(options, seed):
    torch.manual_seed(seed)
    cell, time = Leaky(3, 4, **options).double(), 30
    nn.init.zeros_(cell.W)
    xs, h = torch.randn(2, time, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    with torch.no_grad():
        v, alpha = (xs @ cell.U.T + cell.b).tanh(), cell.alpha
        weights = alpha ** torch.arange(time - 1, -1, -1, dtype=torch.float64)[:, None]
        expected = alpha**time * h + (1 - alpha) * (weights * v).sum(1)
        torch.testing.assert_close(cell.scan(xs, {"h": h})[0][:, -1], expected, rtol=0, atol=1e-12)


def test_an_alpha_of_nothing_is_the_simple_network(seed):
    torch.manual_seed(seed)
    cell, plain = Leaky(3, 4, alpha=0.0).double(), RNN(3, 4).double()
    plain.load_state_dict({name: tensor for name, tensor in cell.state_dict().items() if name != "a"})
    xs, state = torch.randn(2, 9, 3, dtype=torch.float64), cell.init_state(2)
    torch.testing.assert_close(cell.scan(xs, state)[0], plain.scan(xs, state)[0], rtol=0, atol=1e-12)


def test_times_are_spread_evenly_from_a_step_to_the_longest():
    alpha = Leaky(3, 10, alpha=0.99, per_unit=True).alpha
    times = 1 / (1 - alpha)
    ratios = times[1:] / times[:-1]
    assert 1 < times[0] < 100**0.1
    assert 100**0.9 < times[-1] < 100
    torch.testing.assert_close(ratios, torch.full_like(ratios, 100**0.1), rtol=1e-4, atol=0)


def test_a_learned_alpha_begins_as_told_and_moves(seed):
    torch.manual_seed(seed)
    cell = Leaky(3, 4, alpha=0.7, learned=True)
    assert cell.alpha.item() == pytest.approx(0.7)
    cell.scan(torch.randn(2, 9, 3), cell.init_state(2))[0].square().sum().backward()
    assert cell.a.grad is not None
    assert bool(cell.a.grad.any())
    assert not [name for name, _ in Leaky(3, 4).named_parameters() if name == "a"]
