import numpy as np
import pytest
import torch

from tests.training.diagnosis.walks import Linear, turned, walk_of
from training.architectures.gru import GRU
from training.diagnosis import spectrum as module
from training.diagnosis.spectrum import KEPT, spectrum


def random():
    return np.random.default_rng(0)


def test_the_radius_of_a_linear_network_is_its_matrix_at_every_step():
    torch.manual_seed(0)
    matrix = torch.randn(7, 7, dtype=torch.float64)
    found = spectrum(walk_of(Linear(matrix)), random())
    assert list(found.radius) == pytest.approx([float(torch.linalg.eigvals(matrix).abs().max())] * 3)
    assert len(found.eigenvalues) == 7 * KEPT
    assert found.whole


def test_products_find_the_radius_that_the_matrix_has(monkeypatch):
    torch.manual_seed(1)
    walk = walk_of(GRU(2, 60), rows=2, time=3)
    whole = spectrum(walk, random())
    monkeypatch.setattr(module, "BOUND", 10)
    found = spectrum(walk, random())
    assert not found.whole
    assert list(found.radius) == pytest.approx(list(whole.radius), rel=5e-3)


def test_eigenvalues_of_one_size_do_not_keep_it_from_ending(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(module, "BOUND", 10)
    found = spectrum(walk_of(Linear(turned(90, 0.7)), rows=1, time=3), random())
    assert found.radius.median == pytest.approx(0.7, rel=0.01)
