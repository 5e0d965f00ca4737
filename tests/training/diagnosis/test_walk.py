import numpy as np
import pytest
import torch

from tests.training.diagnosis.walks import Linear, turned, walk_of
from training.data.series import Series
from training.diagnosis.walk import draw_walk
from training.errors import WrongUse
from training.model import Numbers, SequenceModel


def model():
    cell = Linear(turned(3, 0.9))
    return SequenceModel(embedding=Numbers(1), cell=cell, outputs=1, dropout=0.5).double().eval()


def series(steps, targets=None):
    values = np.arange(steps, dtype=np.float32)[:, None]
    return Series(values, values if targets is None else targets)


def drawn(*part, sequences=10, steps=5):
    return draw_walk(model(), part, sequences=sequences, steps=steps, seed=0)


def test_a_long_series_is_cut_and_what_is_drawn_is_whole_pieces():
    walk = drawn(series(23), sequences=3)
    assert walk.rows == 3
    for row, length in enumerate(walk.lengths):
        read = walk.batch.x[row, :length, 0]
        assert read[0] % 5 == 0
        assert torch.equal(read, read[0] + torch.arange(length))


def test_a_sequence_that_is_asked_at_its_end_is_read_to_its_end():
    walk = drawn(series(23, np.ones(1, np.float32)))
    assert walk.batch.x[0, :, 0].tolist() == [18, 19, 20, 21, 22]


def test_no_step_is_read_after_the_last_that_is_asked_for():
    targets = np.full((5, 1), np.nan, np.float32)
    targets[[1, 3]] = 0
    assert drawn(series(5, targets)).lengths.tolist() == [4]


def test_nothing_to_go_back_along_is_a_line():
    with pytest.raises(WrongUse, match="2 steps"):
        drawn(series(1))


def test_the_same_seed_draws_the_same_and_another_another():
    part = [series(5 + one) for one in range(40)]
    first, again, other = (draw_walk(model(), part, sequences=4, steps=9, seed=seed).batch.x for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_states_are_those_that_the_cell_comes_through():
    torch.manual_seed(0)
    cell = Linear(turned(3, 0.9))
    walk = walk_of(cell, rows=2, time=6)
    h = torch.zeros(2, 3, dtype=torch.float64)
    for t in range(6):
        assert torch.allclose(walk.at(torch.arange(2), torch.full((2,), t)).s, h)
        h = cell.step(walk.xs[:, t], {"h": h})[0]


def test_places_are_never_padding():
    walk = walk_of(Linear(turned(3, 0.9)), rows=3, time=9, lengths=torch.tensor([2, 4, 9]))
    rows, t = walk.places(1000, np.random.default_rng(0))
    assert len(rows) == 15
    assert bool((t < walk.lengths[rows]).all())
