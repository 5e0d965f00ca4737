import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.manifest import Decode
from server.generation import draw
from server.sampling import Draws, Sampling

CATEGORICAL = Decode("y", "x", "categorical", end=2)
LOGITS = np.array([0.5, -1.0, 2.0, 0.0], np.float32)
DRAWS = 4000


class One(NamedTuple):
    """One row of what was drawn."""

    value: np.ndarray
    log_prob: float
    ends: bool
    stops: bool


def each(drawn):
    columns = (drawn.values[:, None], drawn.log_probs.tolist(), drawn.ends.tolist(), drawn.stops.tolist())
    return [One(*row) for row in zip(*columns, strict=True)]


def drawn(logits=LOGITS, *, decode=CATEGORICAL, seed=1, number=0, **how):
    [found] = each(draw(decode, np.asarray(logits, np.float32)[None], Draws.of(Sampling(9, **how), seed, number)))
    return found


def symbols(**how):
    return np.array([drawn(number=number, **how).value.item() for number in range(DRAWS)])


def probabilities(logits=LOGITS):
    weights = np.exp(np.asarray(logits, np.float64) - max(logits))
    return weights / weights.sum()


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, LOGITS), (0.5, LOGITS * 2), (3.0, LOGITS / 3)])
def test_symbols_come_as_often_as_they_are_probable(temperature, expected):
    counts = np.bincount(symbols(temperature=temperature), minlength=4) / DRAWS
    # Four standard deviations of a share, at most.
    np.testing.assert_allclose(counts, probabilities(expected), atol=4 * 0.5 / math.sqrt(DRAWS))


@given(
    arrays(np.float32, st.integers(1, 9), elements=st.floats(-30, 30, width=32)),
    st.integers(0, 2**63),
    st.integers(0, 9),
)
def test_the_most_probable_is_taken_without_temperature_by_one_candidate_and_by_argmax(logits, seed, number):
    best = int(logits.argmax())
    for how in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 1e-9}, {"decode": Decode("y", "x", "argmax")}):
        found = drawn(logits, seed=seed, number=number, **how)
        assert found.value == best
        assert found.log_prob == pytest.approx(math.log(probabilities(logits)[best]), abs=1e-5)


def test_only_the_most_probable_are_candidates():
    assert set(symbols(top_k=2)) == {2, 0}
    assert set(symbols(top_k=99)) == {0, 1, 2, 3}
    two = probabilities()[2] + probabilities()[0] / 2
    assert set(symbols(top_p=two)) == {2, 0}
    assert set(symbols(top_p=two, top_k=1)) == {2}


def test_the_probability_is_the_models_own_whatever_the_sampling():
    for number in range(50):
        found = drawn(number=number, temperature=4.0, top_k=3)
        assert found.log_prob == pytest.approx(math.log(probabilities()[found.value.item()]))


def test_a_draw_depends_on_the_seed_and_the_step_alone():
    assert symbols(seed=7).tolist() == symbols(seed=7).tolist()
    assert symbols(seed=7).tolist() != symbols(seed=8).tolist()
    assert drawn(seed=2**64 - 1).value == drawn(seed=2**64 - 1).value


def test_the_symbol_of_the_end_ends():
    assert drawn(top_k=1).ends
    assert not drawn([5.0, 0.0, 0.0], top_k=1).ends


def test_units_are_drawn_each_by_its_own_probability():
    logits, decode = np.array([3.0, -3.0, 0.0]), Decode("y", "x", "bernoulli")
    units = np.array([drawn(logits, decode=decode, number=number).value[0] for number in range(DRAWS)])
    np.testing.assert_allclose(units.mean(axis=0), 1 / (1 + np.exp(-logits)), atol=4 * 0.5 / math.sqrt(DRAWS))
    found = drawn(logits, decode=decode)
    expected = np.where(found.value[0], 1, -1) * logits
    assert found.log_prob == pytest.approx(-np.log1p(np.exp(-expected)).sum())


def test_a_value_is_fed_back_as_it_is():
    found = drawn([1.5, -2.0], decode=Decode("y", "x", "identity"))
    assert (found.value.tolist(), found.log_prob, found.ends) == ([[1.5, -2.0]], 0.0, False)


@pytest.mark.parametrize("sampling", ["categorical", "bernoulli"])
def test_logits_of_any_size_give_probabilities_that_are_numbers(sampling):
    found = drawn([1e30, -1e30, 0.0], decode=Decode("y", "x", sampling))
    assert math.isfinite(found.log_prob)


STOPS = Decode("y", "x", "categorical", stop_unit=True)


def test_a_unit_that_stops_is_drawn_before_the_symbol_and_as_often_as_it_says():
    answer = np.array([0.0, 1.0, -1.0, -0.5])
    draws = Draws.joined([Draws.of(Sampling(9), seed, 3) for seed in range(4000)])
    drawn = each(draw(STOPS, np.stack([answer] * 4000), draws))
    stops = sum(one.stops for one in drawn) / len(drawn)
    assert stops == pytest.approx(1 / (1 + np.exp(0.5)), abs=0.03)
    assert all(one.ends == one.stops for one in drawn)
    symbols = [one.value.item() for one in drawn if not one.stops]
    shares = np.exp(answer[:-1]) / np.exp(answer[:-1]).sum()
    assert [symbols.count(symbol) / len(symbols) for symbol in range(3)] == pytest.approx(shares.tolist(), abs=0.03)
    for one in drawn[:20]:
        stop = -np.log1p(np.exp(0.5)) if one.stops else -np.log1p(np.exp(-0.5))
        assert one.log_prob == pytest.approx(stop + (0 if one.stops else np.log(shares[one.value.item()])))


def test_greedily_a_unit_stops_where_that_is_likely():
    for logit, stops in ((0.1, True), (-0.1, False)):
        found = drawn(np.array([0.0, 2.0, logit]), decode=STOPS, temperature=0.0)
        assert found.stops == stops
        assert stops or found.value.item() == 1


HOWS = [Sampling(9), Sampling(9, temperature=0.0), Sampling(9, temperature=0.3, top_k=2), Sampling(9, top_p=0.5)]


@given(
    st.integers(1, 70).flatmap(lambda rows: arrays(np.float32, (rows, 19), elements=st.floats(-30, 30, width=32))),
    st.integers(0, 2**63),
    st.sampled_from([CATEGORICAL, STOPS, Decode("y", "x", "bernoulli"), Decode("y", "x", "identity")]),
)
def test_a_row_is_drawn_to_the_same_bits_whatever_rows_are_drawn_with_it(answers, seed, decode):
    draws = Draws.joined([Draws.of(HOWS[row % len(HOWS)], seed + row % 3, row) for row in range(len(answers))])
    together = each(draw(decode, answers, draws))
    for row, found in enumerate(together):
        [alone] = each(draw(decode, answers[row : row + 1], draws.rows(slice(row, row + 1))))
        assert np.array_equal(alone.value, found.value)
        assert alone[1:] == found[1:]
