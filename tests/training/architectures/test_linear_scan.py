import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.architectures.linear_scan import at_lengths, linear_scan, until


@given(
    time=st.integers(1, 70), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([torch.float64, torch.complex128])
)
def test_all_steps_at_once_are_the_steps_one_after_the_other(time, seed, dtype):
    torch.manual_seed(seed)
    a, b, h = (torch.randn(*shape, dtype=dtype) for shape in ((2, time, 3), (2, time, 3), (2, 3)))
    a = a / (1 + a.abs())
    found = linear_scan(a, b, h)
    for t in range(time):
        h = a[:, t] * h + b[:, t]
        torch.testing.assert_close(found[:, t], h, rtol=1e-10, atol=1e-10)


def test_its_gradients_are_those_of_finite_differences(seed):
    torch.manual_seed(seed)
    given = [torch.rand(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 5, 2), (2, 5, 2), (2, 2))]
    assert torch.autograd.gradcheck(linear_scan, given)


def test_it_takes_as_many_passes_as_time_has_binary_digits(monkeypatch):
    passes = []
    joined = torch.cat
    monkeypatch.setattr(torch, "cat", lambda *given: passes.append(1) or joined(*given))
    linear_scan(torch.ones(1, 1000, 1), torch.ones(1, 1000, 1), torch.zeros(1, 1))
    assert len(passes) == 1 + 2 * 10


@pytest.mark.parametrize("lengths", [None, torch.tensor([1, 4])])
def test_a_rows_last_state_is_that_of_its_own_length_and_nothing_comes_after(lengths):
    hs = torch.arange(16.0).reshape(2, 4, 2) + 1
    last = at_lengths(hs, lengths)
    assert torch.equal(last, hs[:, -1] if lengths is None else torch.stack([hs[0, 0], hs[1, 3]]))
    ys = until(hs, lengths)
    assert torch.equal(ys[1], hs[1])
    assert torch.equal(ys[0, 1:], hs[0, 1:] if lengths is None else torch.zeros(3, 2))
