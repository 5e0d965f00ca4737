import pytest
import torch

from tests.conformance.cells import CASES, HIDDEN, INPUT, WHOLE, disturb
from tests.training.diagnosis.walks import walk_of
from training.architectures import build_cell
from training.diagnosis.flat import Flat
from training.errors import WrongUse

SMALL = 1e-6
SEVERAL = (
    "clockwork",
    "countdown",
    "differentiable_neural_computer",
    "gru",
    "lookahead",
    "lstm",
    "narx",
    "stack dense",
)


def place_of(name: str):
    torch.manual_seed(0)
    cell = CASES[name](INPUT, HIDDEN)
    disturb(cell)
    walk = walk_of(cell, rows=2, time=4)
    return walk.flat, walk.back(1)[1]


@pytest.mark.parametrize("name", [*SEVERAL, "neural_turing_machine"])
def test_the_jacobian_is_that_of_finite_differences(name):
    flat, at = place_of(name)
    found = flat.jacobian(at)
    for column, move in enumerate(SMALL * torch.eye(flat.size, dtype=torch.float64)):
        ahead, behind = (flat.step(at.x, at.s + sign * move, at.held) for sign in (1, -1))
        assert torch.allclose(found[:, :, column], (ahead - behind) / (2 * SMALL), atol=1e-6)


@pytest.mark.parametrize("name", SEVERAL)
def test_products_with_vectors_are_those_of_the_matrix(name):
    flat, at = place_of(name)
    found, v = flat.jacobian(at), torch.randn(2, flat.size, dtype=torch.float64)
    assert torch.allclose(flat.forward(at, v), (found @ v[..., None])[..., 0])
    assert torch.allclose(flat.back(at, v), (v[:, None] @ found)[:, 0])


def test_what_counts_or_is_whole_numbers_is_held():
    assert place_of("countdown")[0].moving == ["h"]
    assert place_of("clockwork")[0].moving == ["h"]
    assert place_of("stack residual")[0].moving == ["0.h", "1.h"]


def test_a_state_comes_back_from_its_vector():
    flat, at = place_of("neural_turing_machine")
    assert torch.equal(flat.join(flat.state(at.s, at.held)), at.s)


def test_what_has_no_state_of_numbers_is_refused_in_a_line():
    for name in ("bidirectional", "grid"):
        with pytest.raises(WrongUse, match="as a whole"):
            Flat(WHOLE[name](INPUT, HIDDEN), {})
    with pytest.raises(WrongUse, match="story"):
        Flat(build_cell("memory_network", INPUT, HIDDEN), {})
