import numpy as np
import pytest

from models.manifest import Decode
from server.scoring import log_probs

SYMBOLS = 5


def expected(logits: np.ndarray, symbol: int) -> float:
    shares = np.exp(logits - logits.max())
    return float(np.log(shares[symbol] / shares.sum()))


@pytest.mark.parametrize("sampling", ["categorical", "argmax"])
def test_each_step_scores_the_symbol_that_follows_it(sampling):
    random = np.random.default_rng(0)
    answers = random.normal(size=(2, 4, SYMBOLS)).astype(np.float32)
    given, lengths = random.integers(0, SYMBOLS, (2, 4)), np.array([4, 2])
    found = log_probs(Decode("y", "x", sampling), answers, given, lengths, np.array([True, False]))
    for row, length in enumerate(lengths):
        for step in range(4):
            wanted = expected(answers[row, step], given[row, step + 1]) if step + 1 < length else 0
            assert found[row, step] == pytest.approx(wanted)


def test_the_last_step_of_a_row_that_ends_scores_the_end():
    answers = np.random.default_rng(1).normal(size=(2, 3, SYMBOLS)).astype(np.float32)
    decode, given = Decode("y", "x", "categorical", end=3), np.zeros((2, 3), np.int64)
    found = log_probs(decode, answers, given, np.array([3, 2]), np.array([False, True]))
    assert found[0, 2] == 0
    assert found[1].tolist() == pytest.approx([expected(answers[1, 0], 0), expected(answers[1, 1], 3), 0])


def test_one_step_that_does_not_end_has_nothing_to_score():
    found = log_probs(
        Decode("y", "x", "categorical", end=0), np.ones((1, 1, 3)), np.array([[2]]), np.array([1]), np.array([False])
    )
    assert found.tolist() == [[0]]


def test_of_units_each_is_on_or_off_by_itself():
    logits = np.array([[[0.0, 2.0], [1.0, -1.0], [3.0, 3.0]]])
    units = np.array([[[0, 0], [1, 0], [1, 1]]], np.float32)
    found = log_probs(Decode("y", "x", "bernoulli"), logits, units, np.array([3]), np.array([True]))

    def on(logit: float) -> float:
        return float(-np.log1p(np.exp(-logit)))

    wanted = [on(0) + on(-2), on(1) + on(-1), 0]
    assert found[0].tolist() == pytest.approx(wanted)


def test_padding_may_hold_any_symbol():
    answers = np.zeros((1, 4, SYMBOLS))
    found = log_probs(
        Decode("y", "x", "categorical"), answers, np.array([[1, 2, 10**6, -7]]), np.array([2]), np.array([False])
    )
    assert found[0].tolist() == pytest.approx([-np.log(SYMBOLS), 0, 0, 0])


def test_a_unit_that_stops_has_a_say_at_every_step():
    answers = np.random.default_rng(2).normal(size=(1, 3, SYMBOLS + 1))
    decode, given = Decode("y", "x", "categorical", stop_unit=True), np.array([[SYMBOLS, 1, 3]])
    found = log_probs(decode, answers, given, np.array([3]), np.array([True]))

    def goes_on(step: int) -> float:
        return float(-np.log1p(np.exp(answers[0, step, -1])))

    symbols = answers[..., :-1]
    wanted = [goes_on(0) + expected(symbols[0, 0], 1), goes_on(1) + expected(symbols[0, 1], 3)]
    stops = float(-np.log1p(np.exp(-answers[0, 2, -1])))
    assert found[0].tolist() == pytest.approx([*wanted, stops])
