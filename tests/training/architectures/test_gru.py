import pytest
import torch
from torch import nn

from training.architectures.gru import GRU, MinimalGatedUnit


@pytest.mark.parametrize("reset", ["after", "before", "none"])
def test_a_unit_whose_update_gate_keeps_holds_its_state_for_a_thousand_steps(reset, seed):
    torch.manual_seed(seed)
    cell = GRU(3, 4, reset=reset).double()
    with torch.no_grad():
        cell.b[-8:-4] = 1e4  # z = 1
    h = torch.randn(2, 4, dtype=torch.float64)
    xs = torch.randn(2, 1000, 3, dtype=torch.float64)
    for lengths in (None, torch.tensor([1000, 1000])):
        torch.testing.assert_close(cell.scan(xs, {"h": h}, lengths)[1]["h"], h, rtol=0, atol=1e-12)


def test_a_minimal_unit_whose_gate_is_shut_holds_its_state(seed):
    torch.manual_seed(seed)
    cell = MinimalGatedUnit(3, 4).double()
    with torch.no_grad():
        cell.b[:4] = -1e4  # f = 0
    h = torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(cell.scan(torch.randn(2, 1000, 3, dtype=torch.float64), {"h": h})[1]["h"], h)


@pytest.mark.parametrize("reset", ["after", "before"])
def test_a_unit_that_resets_forgets(reset, seed):
    torch.manual_seed(seed)
    cell = GRU(3, 4, reset=reset).double()
    with torch.no_grad():
        cell.b[:8] = -1e4  # r = 0, z = 0
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(cell.step(x, {"h": h})[0], cell.step(x, {"h": torch.zeros_like(h)})[0])


def test_the_one_that_resets_after_the_product_is_torchs_own(seed):
    torch.manual_seed(seed)
    cell, reference = GRU(3, 4).double(), nn.GRU(3, 4, batch_first=True).double()
    with torch.no_grad():
        reference.bias_hh_l0.zero_()
        cell.U.copy_(reference.weight_ih_l0)
        cell.W.copy_(reference.weight_hh_l0)
        cell.b.copy_(reference.bias_ih_l0)
    xs, h = torch.randn(5, 7, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    for lengths in (None, torch.full((5,), 7)):
        torch.testing.assert_close(cell.scan(xs, {"h": h}, lengths)[0], reference(xs, h[None])[0], rtol=0, atol=1e-12)
