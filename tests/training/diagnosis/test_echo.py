import numpy as np
import pytest
import torch

from tests.training.diagnosis.walks import Linear, turned, walk_of
from training.architectures import build_cell
from training.architectures.echo_state import EchoState
from training.diagnosis.echo import GONE, echo


def random():
    return np.random.default_rng(0)


def test_a_reservoir_of_radius_below_one_forgets_how_it_began():
    torch.manual_seed(0)
    found = echo(walk_of(EchoState(2, 60, spectral_radius=0.9)), random())
    assert found.converges
    assert found.distances[0] == (1, 1, 1)
    assert found.distances[found.gone_after].median <= GONE < found.distances[found.gone_after - 1].median


@pytest.mark.parametrize(("radius", "converges"), [(0.9, True), (1.0, False), (1.2, False)])
def test_a_linear_network_does_as_its_radius_says(radius, converges):
    torch.manual_seed(0)
    found = echo(walk_of(Linear(turned(5, radius))), random())
    assert found.converges is converges
    assert [one.median for one in found.distances[:50]] == pytest.approx([radius**t for t in range(50)])


def test_too_few_steps_are_not_passed():
    torch.manual_seed(0)
    walk = walk_of(Linear(turned(5, 0.9)))
    assert echo(walk, random(), steps=70).gone_after == 66
    assert not echo(walk, random(), steps=60).converges


def test_where_not_all_states_may_be_they_are_states_of_the_sequences():
    torch.manual_seed(0)
    cell = build_cell("differentiable_neural_computer", 2, 5, {"slots": 4, "width": 3})
    found = echo(walk_of(cell), random(), steps=20)
    assert all(np.isfinite(one).all() for one in found.distances)
