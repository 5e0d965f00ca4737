import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.diagnosis.walks import ROWS, Linear, turned, walk_of
from training.architectures.gru import GRU
from training.architectures.lstm import LSTM
from training.diagnosis import flow as module
from training.diagnosis.band import Band
from training.diagnosis.flow import Flow, distances_to, flow
from training.diagnosis.spectrum import spectrum


def random():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("radius", "word"), [(0.9, "vanishes"), (1.0, "keeps"), (1.1, "explodes")])
def test_a_normal_matrix_goes_exactly_as_its_radius_to_the_power_k(radius, word):
    torch.manual_seed(0)
    walk = walk_of(Linear(turned(5, radius)))
    found, lam = flow(walk, random()), spectrum(walk, random()).radius.median
    assert [one.median for one in found.norms] == pytest.approx([lam**k for k in found.distances])
    assert found.word == word
    assert found.rate == pytest.approx(radius)


def test_any_matrix_goes_as_its_radius_within_a_hundredth_where_k_is_large():
    torch.manual_seed(3)
    matrix = torch.randn(6, 6, dtype=torch.float64)
    matrix = 0.95 * matrix / torch.linalg.eigvals(matrix).abs().max()
    found = flow(walk_of(Linear(matrix), rows=2, time=400), random())
    assert found.distances[-1] == 400
    assert found.norms[-1].median ** (1 / 400) == pytest.approx(0.95, rel=0.01)
    # Which its first steps, of a matrix that is not normal, are not.
    assert abs(found.norms[0].median / 0.95 - 1) > 0.1


def test_an_lstm_that_forgets_nothing_and_writes_nothing_keeps_its_cell():
    cell = LSTM(2, 5)
    with torch.no_grad():
        cell.U.zero_()
        cell.W.zero_()
        # i and o are shut, f is open.
        cell.b[:] = torch.tensor([-800.0, 800.0, 0.0, -800.0]).repeat_interleave(5)
    found = flow(walk_of(cell), random())
    assert all(list(one) == pytest.approx([1.0] * 3, abs=1e-12) for one in found.norms)
    assert found.word == "keeps"


def test_products_find_the_norms_that_matrices_have(monkeypatch):
    torch.manual_seed(0)
    walk = walk_of(GRU(2, 20), rows=4, time=12)
    whole = flow(walk, random())
    monkeypatch.setattr(module, "BOUND", 10)
    found = flow(walk, random())
    assert not found.whole
    assert [one.median for one in found.norms] == pytest.approx([one.median for one in whole.norms], rel=0.05)
    assert found.rate == pytest.approx(whole.rate, rel=0.01)


def test_rows_go_back_no_further_than_they_are_long():
    torch.manual_seed(0)
    cell = Linear(turned(3, 0.5))
    walk = walk_of(cell, rows=ROWS, time=9, lengths=torch.tensor([1, 2, 3, 7, 8, 9]))
    assert walk.reach == 3
    assert [len(walk.back(k)[0]) for k in (1, 3, 9)] == [6, 4, 1]
    assert [one.median for one in flow(walk, random()).norms] == pytest.approx([0.5, 0.25, 0.125])


def test_a_past_that_is_gone_has_no_half_life():
    found = flow(walk_of(Linear(torch.zeros(3, 3))), random())
    assert (found.word, found.rate, found.half_life) == ("vanishes", 0.0, 0.0)


@settings(derandomize=True)
@given(st.floats(0.01, 3.0), st.integers(2, 300))
def test_the_words_agree_with_the_half_life(rate, furthest):
    found = Flow([1, furthest], [Band(1.0, 1.0, 1.0)] * 2, rate, whole=True)
    assert found.half_life == (math.inf if rate == 1 else pytest.approx(math.log(2) / abs(math.log(rate))))
    changed = rate**furthest
    assert (found.word == "keeps") == (0.5 < changed < 2 or found.half_life > furthest)
    assert found.word != "vanishes" or changed <= 0.5 + 1e-9
    assert found.word != "explodes" or changed >= 2 - 1e-9


@given(st.integers(1, 500))
def test_distances_begin_at_one_and_end_at_the_furthest(furthest):
    found = distances_to(furthest)
    assert found == sorted(set(found))
    assert (found[0], found[-1]) == (1, furthest)
