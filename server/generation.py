"""Draws what a model is fed next from what it answered: one step of generation, the same for the same seed."""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.manifest import Decode
from server.types import Array

Probabilities = NDArray[np.float64]


class Sampling(msgspec.Struct, frozen=True):
    """How to generate.

    Attributes:
        max_steps: answers at most.
        temperature: what logits are divided by; 0 takes the most probable.
        top_k: draw among so many of the most probable; 0 for all.
        top_p: draw among the fewest of the most probable that together have this probability.
        seed: None where the client leaves it to the server.
        beam_width: hypotheses of a search for the most probable; 0 where steps are drawn instead.
        length_penalty: the power of the length by which a hypothesis's log-probability is divided.
    """

    max_steps: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    beam_width: int = 0
    length_penalty: float = 1.0

    @property
    def draws(self) -> bool:
        """Whether anything is said that matters only where steps are drawn."""
        return self != Sampling(self.max_steps, beam_width=self.beam_width, length_penalty=self.length_penalty)


class Drawn(NamedTuple):
    """What one step gave.

    Attributes:
        value: what is fed back, `[…]` as one step of the decoded input.
        log_prob: its natural logarithm of probability as the model has it, whatever the sampling.
        ends: whether it is the symbol that ends a sequence.
        stops: whether the sequence stops without another value, which `value` then does not tell.
    """

    value: Array
    log_prob: float
    ends: bool
    stops: bool = False


def draw(decode: Decode, answer: Array, how: Sampling, seed: int, number: int) -> Drawn:
    """Draw from one step's answer.

    Args:
        decode: what kind of answer it is.
        answer: logits `[symbols]` for `categorical` and `argmax`, logits `[…]` for `bernoulli`, the value itself for
            `identity`.
        how: temperature, top_k and top_p; for symbols alone.
        seed: of the whole generation; the draw depends on it, `number` and `answer`, and on nothing that ran beside.
        number: of the step, from 0.
    """
    if decode.sampling == "identity":
        return Drawn(answer, 0.0, ends=False)
    logits = answer.astype(np.float64)
    if decode.stop_unit:
        return _draw_or_stop(decode, logits, how, _uniform(seed, number, 2))
    if decode.sampling == "bernoulli":
        units = _uniform(seed, number, logits.size).reshape(logits.shape) < _sigmoid(logits / (how.temperature or 1.0))
        return Drawn(units, float(-np.logaddexp(0.0, np.where(units, -logits, logits)).sum()), ends=False)
    return _draw_symbol(decode, logits, how, _uniform(seed, number, 1).item())


def _draw_or_stop(decode: Decode, logits: Probabilities, how: Sampling, uniforms: Probabilities) -> Drawn:
    """Draw first whether the sequence stops, by its last logit, and then a symbol; greedily it stops if that is likely.

    Deep Learning, section 10.2.3: a Bernoulli unit that ends the sequence.
    """
    symbols, stop = logits[:-1], float(logits[-1])
    stops = stop > 0 if _is_greedy(decode, how) else float(uniforms[0]) < float(_sigmoid(np.array(stop)))
    if stops:
        return Drawn(np.array(0), -float(np.logaddexp(0.0, -stop)), ends=True, stops=True)
    drawn = _draw_symbol(decode, symbols, how, float(uniforms[1]))
    return drawn._replace(log_prob=drawn.log_prob - float(np.logaddexp(0.0, stop)))


def _draw_symbol(decode: Decode, logits: Probabilities, how: Sampling, uniform: float) -> Drawn:
    log_probs = logits - np.logaddexp.reduce(logits)
    symbol = int(logits.argmax()) if _is_greedy(decode, how) else _symbol(logits, how, uniform)
    return Drawn(np.array(symbol), float(log_probs[symbol]), ends=symbol == decode.end)


def _is_greedy(decode: Decode, how: Sampling) -> bool:
    return decode.sampling == "argmax" or how.temperature == 0


def _symbol(logits: Probabilities, how: Sampling, uniform: float) -> int:
    """Draw one of the most probable symbols."""
    with np.errstate(over="ignore"):  # a temperature next to none leaves the most probable alone
        scaled = (logits - logits.max()) / how.temperature
    order = np.argsort(-scaled, kind="stable")[: how.top_k or None]
    weights = np.exp(scaled[order])
    sums = (weights / weights.sum()).cumsum()
    if how.top_p < 1.0:
        order = order[: int(np.searchsorted(sums, how.top_p)) + 1]
        sums = sums[: len(order)]
    place = np.searchsorted(sums, uniform * sums[-1], side="right")
    return int(order[min(int(place), len(order) - 1)])


def _uniform(seed: int, number: int, count: int) -> Probabilities:
    """Numbers from 0 to 1 that belong to one step of one generation, whichever steps were drawn before."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64))).random(count)


def _sigmoid(logits: Probabilities) -> Probabilities:
    return np.exp(-np.logaddexp(0.0, -logits))
