import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from training.architectures import build_cell
from training.architectures.gru import GRU
from training.batches import collate
from training.data.series import Series
from training.generative import Generative
from training.model import symbol_model
from training.tasks.base import asked
from training.tasks.next_symbol import BITS, NextSymbol
from training.tasks.stop_unit import StopUnit

SYMBOLS, EDGE, LONGEST = 2, 2, 7
LENGTHS = [0.1, 0.2, 0.4, 0.3]
WAYS = ("symbol", "stop", "length")


def generative(way: str, seed: int = 0) -> Generative:
    torch.manual_seed(seed)
    cell = build_cell("countdown", 3, 6) if way == "length" else GRU(3, 6)
    model = symbol_model(symbols=SYMBOLS + 1, embedding_size=3, cell=cell, dropout=0.0)
    with torch.no_grad():
        model.readout.weight.mul_(3)
    return Generative(model, edge=EDGE, way=way, lengths=LENGTHS if way == "length" else ())


def every_sequence(longest: int):
    for length in range(longest + 1):
        yield from itertools.product(range(SYMBOLS), repeat=length)


@pytest.mark.parametrize("way", WAYS)
def test_the_probabilities_of_all_sequences_and_of_what_is_longer_sum_to_one(way):
    model = generative(way)
    total = sum(math.exp(model.score(symbols).total) for symbols in every_sequence(LONGEST))
    # What is longer has gone on for LONGEST steps, and goes on.
    tail = 0.0
    if way != "length":
        for symbols in itertools.product(range(SYMBOLS), repeat=LONGEST):
            *steps, end = model.score(symbols).steps
            tail += math.exp(sum(steps)) * (1 - math.exp(end))
    assert total + tail == pytest.approx(1.0, abs=1e-6)
    assert (tail > 1e-6) == (way != "length")


@pytest.mark.parametrize("way", WAYS)
def test_sequences_are_drawn_as_often_as_they_are_likely(way, seed):
    model, draws = generative(way), 3000
    generator = torch.Generator().manual_seed(seed)
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(draws):
        drawn = tuple(model.sample(generator))
        counts[drawn] = counts.get(drawn, 0) + 1
    expected = {symbols: draws * math.exp(model.score(symbols).total) for symbols in every_sequence(4)}
    often = [symbols for symbols, count in expected.items() if count >= 5]
    found = [counts.get(symbols, 0) for symbols in often]
    wanted = [expected[symbols] for symbols in often]
    rare = draws - sum(wanted)
    if rare >= 5:
        found, wanted = [*found, draws - sum(found)], [*wanted, rare]
    # One seed in ten thousand fails by chance.
    assert chisquare(found, np.array(wanted) * sum(found) / sum(wanted)).pvalue > 1e-4


@pytest.mark.parametrize(("way", "task"), [("symbol", NextSymbol()), ("stop", StopUnit())])
def test_what_training_makes_small_is_what_a_sequence_scores(way, task):
    model = generative(way)
    symbols = [0, 1, 1, 0]
    batch = collate([Series(np.array([EDGE, *symbols]), np.array([*symbols, EDGE]))])
    with torch.no_grad():
        answers, _ = model._model(batch.x, model._model.begin(1))
    bits = task.losses(*asked(answers, batch))
    assert bits.sum().item() / BITS == pytest.approx(-model.score(symbols).total, abs=1e-4)
    assert torch.allclose(bits / BITS, -torch.tensor(model.score(symbols).steps), atol=1e-4)


def test_a_length_that_was_never_seen_has_no_probability():
    assert generative("length").score([0] * 9).total == -math.inf


def test_a_sequence_that_does_not_end_is_cut():
    model = generative("stop")
    with torch.no_grad():
        model._model.readout.bias[-1] = -100
    assert len(model.sample(torch.Generator().manual_seed(0), most=12)) == 12
