import torch
from torch import nn

from training.architectures.delays import Delays
from training.architectures.rnn import RNN


def test_a_delay_of_one_step_is_the_simple_network(seed):
    torch.manual_seed(seed)
    cell, plain = Delays(3, 4, delays=(1,)).double(), RNN(3, 4).double()
    plain.load_state_dict(cell.state_dict())
    xs = torch.randn(2, 9, 3, dtype=torch.float64)
    found, expected = cell.scan(xs, cell.init_state(2))[0], plain.scan(xs, plain.init_state(2))[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_an_input_comes_back_after_each_delay_and_not_between(seed):
    torch.manual_seed(seed)
    cell = Delays(3, 4, delays=(3,))
    xs = torch.zeros(1, 10, 3)
    xs[0, 1] = 1
    touched = cell.scan(xs, cell.init_state(1))[0].detach().any(-1)[0]
    assert touched.nonzero().flatten().tolist() == [1, 4, 7]


def test_a_gradient_takes_the_short_way_back(seed):
    torch.manual_seed(seed)
    cell = Delays(3, 4, delays=(1, 8))
    nn.init.zeros_(cell.b)
    with torch.no_grad():
        cell.W[:, :4] = 0.1 * torch.eye(4)
        cell.W[:, 4:] = 0.9 * torch.eye(4)
    xs = (1e-3 * torch.randn(1, 65, 3)).requires_grad_()
    far = torch.autograd.grad(cell.scan(xs, cell.init_state(1))[0][0, -1].sum(), xs)[0][0, 0].norm()
    one = torch.autograd.grad(cell.scan(xs[:, :1], cell.init_state(1))[0].sum(), xs)[0][0, 0].norm()
    # Eight hops of 0.9 rather than sixty-four of 0.1.
    assert far / one > 0.9**8 * 0.99


def test_the_state_is_the_past_newest_first(seed):
    torch.manual_seed(seed)
    cell = Delays(3, 4, delays=(1, 4))
    ys, state = cell.scan(torch.randn(2, 9, 3), cell.init_state(2))
    assert torch.equal(state["past"], ys[:, -4:].flip(1))
