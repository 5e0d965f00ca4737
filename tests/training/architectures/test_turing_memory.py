import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.architectures.turing_memory import address, content, find, sharpen, shift, softplus

WIDTH, SLOTS = 4, 9


def addressed(shifts: int = 3, heads: int = 2, *, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(5, heads, WIDTH + shifts + 3)


@given(seed=st.integers(0, 2**32), scale=st.floats(0, 1e3), size=st.floats(0, 1e6))
def test_weights_are_never_negative_and_sum_to_one(seed, scale, size):
    torch.manual_seed(seed)
    M, before = size * torch.randn(5, SLOTS, WIDTH), scale * torch.randn(5, 2, SLOTS)
    w = find(M, before, address(addressed(scale=scale), WIDTH))
    assert bool((w >= 0).all())
    torch.testing.assert_close(w.sum(-1), torch.ones(5, 2))


@pytest.mark.parametrize("by", [-2, -1, 0, 1, 2])
def test_a_certain_shift_turns_the_weights_around_the_ring(by):
    w, s = torch.rand(5, 2, SLOTS), torch.zeros(5, 2, 5)
    s[..., 2 + by] = 1
    assert torch.equal(shift(w, s), w.roll(by, -1))


def test_a_shift_in_doubt_is_the_mean_of_those_that_may_be():
    w, s = torch.rand(5, 2, SLOTS), torch.rand(5, 2, 3).softmax(-1)
    expected = sum(s[..., at : at + 1] * w.roll(at - 1, -1) for at in range(3))
    torch.testing.assert_close(shift(w, s), expected)


@pytest.mark.parametrize("scale", [1e-4, 0.1, 1e5])
def test_content_is_found_whatever_the_scale_of_the_memory(seed, scale):
    torch.manual_seed(seed)
    M, k, beta = torch.randn(5, SLOTS, WIDTH), torch.randn(5, 2, WIDTH), 10 * torch.rand(5, 2, 1)
    torch.testing.assert_close(content(scale * M, k, beta), content(M, k, beta), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(content(M, scale * k, beta), content(M, k, beta), rtol=1e-4, atol=1e-5)


def test_a_key_that_a_slot_holds_finds_it():
    M = torch.eye(WIDTH).repeat(5, 1, 1)
    k = M[:, 1:3].clone()
    assert content(M, k, torch.full((5, 2, 1), 50.0)).argmax(-1).tolist() == [[1, 2]] * 5


def test_an_empty_memory_and_an_empty_key_are_like_any_other_alike():
    even = torch.full((5, 2, SLOTS), 1 / SLOTS)
    beta = torch.ones(5, 2, 1)
    M = torch.zeros(5, SLOTS, WIDTH, requires_grad=True)
    found = content(M, torch.randn(5, 2, WIDTH), beta)
    torch.testing.assert_close(found, even)
    found[..., 0].sum().backward()
    assert bool(M.grad.isfinite().all())
    torch.testing.assert_close(content(torch.randn(5, SLOTS, WIDTH), torch.zeros(5, 2, WIDTH), beta), even)


def test_sharpening_keeps_the_order_and_makes_the_largest_larger():
    w = torch.rand(5, 2, SLOTS).softmax(-1)
    same, sharp = sharpen(w, torch.ones(5, 2, 1)), sharpen(w, torch.full((5, 2, 1), 4.0))
    torch.testing.assert_close(same, w)
    assert torch.equal(sharp.argsort(-1), w.argsort(-1))
    assert bool((sharp.amax(-1) > w.amax(-1)).all())


def test_even_a_power_that_makes_all_weights_vanish_leaves_the_largest():
    w = torch.tensor([[[0.2, 0.3, 0.2, 0.3]]])
    assert sharpen(w, torch.full((1, 1, 1), 1e4)).tolist() == [[[0, 0.5, 0, 0.5]]]


def test_softplus_is_torchs():
    a = torch.linspace(-40, 40, 99, dtype=torch.float64)
    torch.testing.assert_close(softplus(a), torch.nn.functional.softplus(a, threshold=1e9))


def test_what_heads_emit_is_held_to_its_ranges():
    at = address(addressed(scale=20), WIDTH)
    assert at.k.shape == (5, 2, WIDTH)
    assert at.s.shape == (5, 2, 3)
    assert bool((at.k.abs() <= 1).all() and (at.beta >= 0).all() and (at.gamma >= 1).all())
    assert bool((at.g >= 0).all() and (at.g <= 1).all())
    torch.testing.assert_close(at.s.sum(-1), torch.ones(5, 2))
