import pytest
import torch

from training.errors import Diverged
from training.ridge import Ridge

STEPS, FEATURES, OUTPUTS, PENALTY = 60, 5, 2, 0.3


def states_and_targets():
    torch.manual_seed(0)
    return torch.randn(STEPS, FEATURES) + 2, torch.randn(STEPS, OUTPUTS) - 1


def fitted(*stretches, penalty=PENALTY):
    ridge = Ridge(FEATURES, OUTPUTS, penalty=penalty)
    for states, targets in stretches:
        ridge.add(states, targets)
    return ridge.solve()


def test_the_readout_solves_the_ridge_normal_equations():
    states, targets = states_and_targets()
    weight, bias = fitted((states, targets))
    h, y = (array.double() - array.double().mean(0) for array in (states, targets))
    left = (h.T @ h + PENALTY * torch.eye(FEATURES, dtype=torch.float64)) @ weight.double().T
    assert torch.allclose(left, h.T @ y, atol=1e-5)
    assert torch.allclose(bias, targets.mean(0) - weight @ states.mean(0), atol=1e-5)


def test_no_other_readout_costs_less():
    states, targets = states_and_targets()
    weight, bias = fitted((states, targets))

    def cost(weight, bias):
        return (states @ weight.T + bias - targets).square().sum() + PENALTY * weight.square().sum()

    least = cost(weight, bias)
    for _ in range(20):
        assert cost(weight + 0.01 * torch.randn_like(weight), bias + 0.01 * torch.randn_like(bias)) > least


def test_stretches_give_what_the_whole_gives():
    states, targets = states_and_targets()
    whole = fitted((states, targets))
    parts = fitted(*zip(states.split(7), targets.split(7), strict=True))
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(whole, parts, strict=True))


def test_a_large_penalty_leaves_the_mean():
    states, targets = states_and_targets()
    weight, bias = fitted((states, targets), penalty=1e12)
    assert weight.abs().max() < 1e-9
    assert torch.allclose(bias, targets.mean(0), atol=1e-6)


def test_no_steps_are_nothing_to_fit():
    with pytest.raises(Diverged, match="washout"):
        fitted()


def test_states_that_are_no_numbers_are_told():
    states, targets = states_and_targets()
    states[3] = float("inf")
    with pytest.raises(Diverged, match="radius"):
        fitted((states, targets))
