from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.manifest import Decode
from server.beams import Beams

END = 2
WITH_END = Decode("y", "x", "categorical", end=END)
WITH_STOP = Decode("y", "x", "categorical", stop_unit=True)
NEVER_ENDS = Decode("y", "x", "categorical")
MOST = 4


def table(seed: int, outputs: int) -> dict[tuple[int, ...], np.ndarray]:
    """Logits after every text of up to MOST symbols."""
    random = np.random.default_rng(seed)
    texts = [text for length in range(MOST) for text in product(range(outputs), repeat=length)]
    return {text: 2 * random.normal(size=outputs) for text in texts}


def search(decode: Decode, logits, *, width: int, penalty: float, most: int = MOST):
    """Search as the server does, the slot of a state being the number of the text that it has read."""
    texts = list(logits)
    beams = Beams(decode, width, penalty, texts.index(()))
    for _ in range(most):
        read = [one.symbols for one in beams.live]
        beams.advance(np.stack([logits[text] for text in read]), [texts.index(text) for text in read])
        if beams.done:
            break
    return beams


def log_probs(decode: Decode, row: np.ndarray) -> np.ndarray:
    if not decode.stop_unit:
        return np.log(np.exp(row) / np.exp(row).sum())
    symbols, stop = row[:-1], 1 / (1 + np.exp(-row[-1]))
    return np.log(np.append(np.exp(symbols) / np.exp(symbols).sum() * (1 - stop), stop))


def every(decode: Decode, logits) -> dict[tuple[tuple[int, ...], bool], float]:
    """All that can be written in MOST steps, ended or not, with the logarithms of their probabilities."""
    found, open_ = {}, {(): 0.0}
    for _ in range(MOST):
        after = {}
        for text, before in open_.items():
            for symbol, step in enumerate(log_probs(decode, logits[text])):
                stops = decode.stop_unit and symbol == len(logits[text]) - 1
                if stops or symbol == decode.end:
                    found[text if stops else (*text, symbol), True] = before + step
                else:
                    after[*text, symbol] = before + step
        open_ = after
    return found | {(text, False): value for text, value in open_.items()}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    decode=st.sampled_from([WITH_END, WITH_STOP, NEVER_ENDS]),
    penalty=st.sampled_from([0.0, 0.7, 1.0]),
)
def test_a_search_as_wide_as_there_are_texts_finds_the_best_of_all(seed, decode, penalty):
    logits = table(seed, 3)
    all_texts = every(decode, logits)
    beams = search(decode, logits, width=len(all_texts), penalty=penalty)
    best = max(all_texts, key=lambda text: all_texts[text] / max(1, len(text[0])) ** penalty)
    first = beams.found[0]
    assert (first.symbols, first.ended) == best
    assert first.log_prob == pytest.approx(all_texts[best])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 6), decode=st.sampled_from([WITH_END, WITH_STOP]))
def test_every_hypothesis_has_its_own_probability_and_the_state_that_gave_its_end(seed, width, decode):
    logits = table(seed, 3)
    texts, beams = list(logits), search(decode, logits, width=width, penalty=1.0)
    found = beams.found
    assert 1 <= len(found) <= width
    assert beams.scores(found) == sorted(beams.scores(found), reverse=True)
    for one in found:
        steps, stopped = list(one.symbols), one.ended and decode.stop_unit
        taken = [log_probs(decode, logits[tuple(steps[:at])])[symbol] for at, symbol in enumerate(steps)]
        taken += [log_probs(decode, logits[one.symbols])[-1]] if stopped else []
        assert one.log_prob == pytest.approx(sum(taken))
        assert texts[one.slot] == (one.symbols if stopped else one.symbols[:-1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_hypothesis_is_the_greedy_text(seed):
    logits = table(seed, 3)
    text: list[int] = []
    while len(text) < MOST and END not in text:
        text.append(int(logits[tuple(text)].argmax()))
    assert search(WITH_END, logits, width=1, penalty=1.0).found[0].symbols == tuple(text)


@pytest.mark.parametrize(("penalty", "best"), [(0.0, (END,)), (1.0, (1, 1, END))])
def test_a_longer_text_is_better_than_a_more_probable_shorter_one_where_the_mean_counts(penalty, best):
    sure = np.log([1e-9, 1 - 2e-9, 1e-9])
    # A text of one symbol and probability 0.4, and one of three and 0.6 * 0.5.
    logits = dict.fromkeys(table(0, 3), sure) | {(): np.log([1e-9, 0.6, 0.4]), (1, 1): np.log([1e-9, 0.4, 0.6])}
    assert search(WITH_END, logits, width=3, penalty=penalty).found[0].symbols == best


@pytest.mark.parametrize("mask", [-np.inf, -(2.0**100)])
def test_what_a_model_masks_is_never_followed_however_wide_the_search(mask):
    logits = {text: np.where(np.arange(3) == 0, mask, row) for text, row in table(0, 3).items()}
    beams = search(NEVER_ENDS, logits, width=9, penalty=1.0, most=2)
    assert sorted(one.symbols for one in beams.found) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_equally_probable_texts_are_found_in_the_order_of_their_symbols():
    flat = {text: np.zeros(3) for text in table(0, 3)}
    beams = search(NEVER_ENDS, flat, width=2, penalty=1.0, most=2)
    assert [one.symbols for one in beams.found] == [(0, 0), (0, 1)]
