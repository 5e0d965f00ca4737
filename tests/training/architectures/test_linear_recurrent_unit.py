import math

import pytest
import torch

from training.architectures import build_cell
from training.architectures.linear_recurrent_unit import LinearRecurrentUnit


def test_eigenvalues_begin_in_their_ring_at_angles_up_to_the_largest(seed):
    torch.manual_seed(seed)
    cell = LinearRecurrentUnit(3, 500, least=0.5, most=0.7, angle=1.0)
    radii, angles = (-cell.nu.exp()).exp(), cell.theta.exp()
    assert ((radii > 0.4999) & (radii < 0.7001)).all()
    assert ((angles > 0) & (angles <= 1.0001)).all()
    # Uniform over the ring's area: the squares are uniform.
    assert (radii**2).mean().item() == pytest.approx((0.25 + 0.49) / 2, abs=0.02)


def test_what_comes_in_keeps_its_size_however_slowly_a_unit_fades(seed):
    torch.manual_seed(seed)
    cell = LinearRecurrentUnit(1, 40, least=0.9, most=0.99)
    xs = torch.randn(300, 400, 1)
    _, state = cell.scan(xs, cell.init_state(300))
    sizes = (state["re"] ** 2 + state["im"] ** 2).mean().item()
    # White noise through B, of variance two thirds, whose gain gamma makes one.
    assert sizes == pytest.approx(2 / 3, rel=0.2)


def test_it_cannot_explode_whatever_is_learnt(seed):
    torch.manual_seed(seed)
    cell = LinearRecurrentUnit(1, 8)
    with torch.no_grad():
        cell.nu.fill_(5.0)
        cell.theta.normal_()
    assert ((-cell.nu.exp()).exp() < 1).all()


def test_a_ring_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"cell\.least is 0\.9, which must be below cell\.most, 0\.5"):
        build_cell("linear_recurrent_unit", 2, 4, {"least": 0.9, "most": 0.5})
    with pytest.raises(ValueError, match="angle"):
        build_cell("linear_recurrent_unit", 2, 4, {"angle": 3 * math.pi})
