import pytest
import torch

from training.architectures.echo_state import EchoState
from training.cell import Cell


@pytest.mark.parametrize(("units", "radius"), [(4, 0.9), (50, 1.25), (200, 0.5)])
def test_the_spectral_radius_is_as_told(units, radius, seed):
    torch.manual_seed(seed)
    W = EchoState(3, units, spectral_radius=radius).W.double()
    assert torch.linalg.eigvals(W).abs().max().item() == pytest.approx(radius, rel=1e-3)


def test_the_reservoir_is_sparse_and_each_unit_reads_another(seed):
    torch.manual_seed(seed)
    used = EchoState(3, 200, density=0.05).W != 0
    assert 0.04 < used.float().mean() < 0.07
    assert bool(used.any(1).all())


def distance_after(radius: float, seed: int) -> float:
    """How far apart two states of one input stream are after 300 steps, by their first distance."""
    torch.manual_seed(seed)
    cell = EchoState(2, 60, spectral_radius=radius, input_scale=0.01, bias=0.0).double()
    xs = torch.randn(1, 300, 2, dtype=torch.float64).expand(2, -1, -1)
    h = 0.1 * torch.randn(2, 60, dtype=torch.float64)
    after = cell.scan(xs, {"h": h})[1]["h"]
    return float((after[0] - after[1]).norm() / (h[0] - h[1]).norm())


def test_two_states_of_one_input_become_one_and_with_a_large_radius_do_not(seed):
    assert distance_after(0.8, seed) < 1e-6
    assert distance_after(3.0, seed) > 1e-2


def test_nothing_of_the_reservoir_is_trained(seed):
    torch.manual_seed(seed)
    cell = EchoState(3, 20)
    readout = torch.nn.Linear(20, 2)
    before = {name: tensor.clone() for name, tensor in cell.state_dict().items()}
    assert before.keys() == {"U", "W", "b"}
    optimizer = torch.optim.Adam([*cell.parameters(), *readout.parameters()])
    readout(cell.scan(torch.randn(2, 9, 3), cell.init_state(2))[0]).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in cell.state_dict().items())


def test_a_leak_of_little_changes_little(seed):
    torch.manual_seed(seed)
    cell = EchoState(3, 20, leak=0.01)
    h = torch.rand(2, 20)
    moved = cell.step(torch.randn(2, 3), {"h": h})[0] - h
    assert 0 < moved.abs().max() <= 0.02


def test_one_series_without_gradients_is_read_as_step_by_step(seed):
    torch.manual_seed(seed)
    cell, xs = EchoState(3, 50, leak=0.6), torch.randn(1, 40, 3)
    first, state = cell.scan(xs[:, :15], cell.init_state(1))
    second, state = cell.scan(xs[:, 15:], state)
    expected, last = Cell.scan(cell, xs, cell.init_state(1))
    assert torch.allclose(torch.cat([first, second], 1), expected, atol=1e-6)
    assert torch.allclose(state["h"], last["h"], atol=1e-6)


def test_gradients_to_what_is_before_the_reservoir_are_kept(seed):
    torch.manual_seed(seed)
    cell, xs = EchoState(3, 20), torch.randn(1, 5, 3, requires_grad=True)
    ys, _ = cell.scan(xs, cell.init_state(1))
    ys.sum().backward()
    assert xs.grad is not None
    assert xs.grad.abs().min() > 0
