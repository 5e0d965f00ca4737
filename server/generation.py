"""Draws what models are fed next from what they answered: one step of generation, the same for the same seed."""

import numpy as np
from numpy.typing import NDArray

from models.manifest import Decode
from server.columns import everyone, no_flags
from server.sampling import Drawn, Draws, Sampling
from server.types import Array, Ints, Words

Probabilities = NDArray[np.float64]
NO_PROBABILITIES = "the model's answers are no logits of anything: some of them are NaN or infinite"
# The number of a step that no generation has.
BEFORE_THE_FIRST = 2**64 - 1
# SplitMix64's constants.
GOLDEN, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def draw(decode: Decode, answers: Array, draws: Draws) -> Drawn:
    """Draw from a step's answer for each row.

    Args:
        decode: what kind of answers they are.
        answers: logits `[rows, symbols]` for `categorical` and `argmax`, logits `[rows, …]` for `bernoulli`, the values
            themselves for `identity`.
        draws: of each row.
    """
    rows = len(answers)
    if decode.sampling == "identity":
        return Drawn(answers, np.zeros(rows), no_flags(rows), no_flags(rows))
    logits = logits_of(decode, answers)
    if decode.sampling == "bernoulli":
        return _draw_units(decode, logits, draws)
    if decode.stop_unit:
        return _draw_or_stop(decode, logits, draws)
    symbols, log_probs = _draw_symbols(decode, logits, draws, _uniforms(draws, 1)[:, 0])
    ends = no_flags(rows) if decode.end is None else symbols == decode.end
    return Drawn(symbols, log_probs, ends, no_flags(rows))


def draw_length(decode: Decode, seed: int) -> int:
    """Draw how many symbols a sequence is to have, at least one; no step of it draws by the same numbers."""
    weights = np.array(decode.lengths)
    weights[0] = 0.0
    uniforms = _uniforms(Draws.of(Sampling(1), seed, BEFORE_THE_FIRST), 1)[:, 0]
    return _places(weights[None], uniforms).item()


def logits_of(decode: Decode, answers: Array) -> Probabilities:
    """Give logits `[…, symbols]` of what may be written."""
    logits = answers.astype(np.float64)
    if decode.lengths:
        logits[..., decode.start] = -np.inf
    return logits


def _draw_units(decode: Decode, logits: Probabilities, draws: Draws) -> Drawn:
    rows = len(logits)
    temperatures = _temperatures(decode, draws).reshape(-1, *[1] * (logits.ndim - 1))
    uniforms = _uniforms(draws, logits[0].size).reshape(logits.shape)
    units = uniforms < _sigmoid(logits / np.where(temperatures, temperatures, 1.0))
    log_probs = -np.logaddexp(0.0, np.where(units, -logits, logits)).reshape(rows, -1).sum(-1)
    return Drawn(units, log_probs, no_flags(rows), no_flags(rows))


def _draw_or_stop(decode: Decode, logits: Probabilities, draws: Draws) -> Drawn:
    """Draw first whether the sequence stops, by its last logit, and then a symbol; greedily it stops if that is likely.

    Deep Learning, section 10.2.3: a Bernoulli unit that ends the sequence.
    """
    stop, uniforms = logits[:, -1], _uniforms(draws, 2)
    stops = np.where(_temperatures(decode, draws) == 0, stop > 0, uniforms[:, 0] < _sigmoid(stop))
    symbols, log_probs = _draw_symbols(decode, np.ascontiguousarray(logits[:, :-1]), draws, uniforms[:, 1])
    log_probs = np.where(stops, -np.logaddexp(0.0, -stop), log_probs - np.logaddexp(0.0, stop))
    return Drawn(np.where(stops, 0, symbols), log_probs, stops, stops)


def _draw_symbols(
    decode: Decode, logits: Probabilities, draws: Draws, uniforms: Probabilities
) -> tuple[Ints, Probabilities]:
    """Give a symbol of each row, and its log-probability."""
    rows, symbols = everyone(len(logits)), logits.argmax(-1)
    shifted = logits - logits[rows, symbols][:, None]
    weights = np.exp(shifted)
    sums, temperatures = np.log(weights.sum(-1)), _temperatures(decode, draws)
    if temperatures.any():
        scaled = shifted
        if (temperatures != 1).any():
            with np.errstate(over="ignore"):  # a temperature next to none leaves the most probable alone
                scaled = shifted / np.where(temperatures, temperatures, 1.0)[:, None]
            weights = np.exp(scaled)
        symbols = np.where(temperatures, _chosen(scaled, weights, draws, uniforms), symbols)
    return symbols, shifted[rows, symbols] - sums


def _chosen(scaled: Probabilities, weights: Probabilities, draws: Draws, uniforms: Probabilities) -> Ints:
    """Draw a symbol of each row, of the most probable ones where a row asks for that."""
    chosen = _places(weights, uniforms)
    some = np.flatnonzero((draws.top_k > 0) | (draws.top_p < 1.0))
    if len(some):
        chosen[some] = _chosen_of_the_most_probable(scaled[some], draws.rows(some), uniforms[some])
    return chosen


def _chosen_of_the_most_probable(scaled: Probabilities, draws: Draws, uniforms: Probabilities) -> Ints:
    # By the logits: the weights of two that are nearly alike may be the same number.
    order = np.argsort(-scaled, axis=-1, kind="stable")
    ranked, ranks = np.exp(np.take_along_axis(scaled, order, -1)), np.arange(scaled.shape[1])
    ranked[ranks >= np.where(draws.top_k, draws.top_k, len(ranks))[:, None]] = 0.0
    sums = ranked.cumsum(-1)
    # So many that together they have the share: what comes before the last of them has less.
    ranked[(sums - ranked) / sums[:, -1:] >= draws.top_p[:, None]] = 0.0
    chosen: Ints = np.take_along_axis(order, _places(ranked, uniforms)[:, None], -1)[:, 0]
    return chosen


def _places(weights: Probabilities, uniforms: Probabilities) -> Ints:
    """Give the place of each row that a number from 0 to 1 falls on, places being as wide as their weights."""
    sums = weights.cumsum(-1)
    falls = uniforms * sums[:, -1]
    places: Ints = (sums > falls[:, None]).argmax(-1)
    if (past := falls >= sums[:, -1]).any():
        # By rounding a number may fall past the last place that has any weight.
        last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(-1)
        places = np.where(past, last, places)
    return places


def _temperatures(decode: Decode, draws: Draws) -> Probabilities:
    """Give what each row's logits are divided by; 0 takes the most probable."""
    if decode.sampling == "argmax":
        return np.zeros(len(draws.seeds))
    return draws.temperatures


def _uniforms(draws: Draws, count: int) -> Probabilities:
    """Numbers from 0 to 1, `[rows, count]`, that belong to one step of one generation, whatever was drawn before.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014: SplitMix64, from the mixed seed on.
    """
    places = draws.numbers[:, None] * np.uint64(count) + np.arange(1, count + 1, dtype=np.uint64)
    words = _mixed(_mixed(draws.seeds)[:, None] + (places * GOLDEN).astype(np.uint64))
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(30))) * FIRST
    words = (words ^ (words >> np.uint64(27))) * SECOND
    return words ^ (words >> np.uint64(31))


def _sigmoid(logits: Probabilities) -> Probabilities:
    return np.exp(-np.logaddexp(0.0, -logits))
