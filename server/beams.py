"""Searches for the most probable of what a model may write: the best so many hypotheses at a time, a step together."""

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from models.manifest import Decode
from server.generation import Probabilities, logits_of
from server.types import Array

# A logarithm of a probability that is no symbol's: a model has put a number so low where none may follow.
MASKED = -1e9


class Hypothesis(NamedTuple):
    """What may be written.

    Attributes:
        symbols: what was written.
        log_prob: of all of it, and of its end where it has ended.
        slot: where the state lies that gave the last of it; that one symbol it has not read yet.
        ended: whether nothing may follow.
    """

    symbols: tuple[int, ...]
    log_prob: float
    slot: int
    ended: bool = False

    def score(self, penalty: float) -> float:
        """Give the logarithm of the probability over the length, raised to a power."""
        return self.log_prob / float(max(1, len(self.symbols)) ** penalty)


@final
class Beams:
    """One search under way.

    Args:
        decode: how the model's answers are read: logits of symbols, and of a unit that stops where there is one.
        width: hypotheses that are followed at a time.
        penalty: 0 compares hypotheses by their probability, of which shorter ones have more; 1 by its mean a symbol.
        slot: where the state lies from which the search begins.

    Attributes:
        live: those that are followed, the most probable first; each has its last symbol to be read.
    """

    def __init__(self, decode: Decode, width: int, penalty: float, slot: int) -> None:
        self._decode = decode
        self._width = width
        self._penalty = penalty
        self.live = [Hypothesis((), 0.0, slot)]
        self._ended: list[Hypothesis] = []

    def advance(self, answers: Array, slots: Sequence[int]) -> bool:
        """Take what the model answered to each live hypothesis; false where nothing may follow any, and none has ended.

        Args:
            answers: logits, `[live, outputs]`.
            slots: where the states lie that gave them, `[live]`.
        """
        steps = self._steps(logits_of(self._decode, answers))
        totals = np.array([one.log_prob for one in self.live])[:, None] + steps
        going: list[Hypothesis] = []
        for rank, place in enumerate(_largest(totals.ravel(), 2 * self._width)):
            row, symbol = divmod(place, totals.shape[1])
            if totals[row, symbol] <= MASKED:
                break
            stops = self._decode.stop_unit and symbol == totals.shape[1] - 1
            symbols = self.live[row].symbols if stops else (*self.live[row].symbols, symbol)
            ended = stops or symbol == self._decode.end
            found = Hypothesis(symbols, float(totals[row, symbol]), slots[row], ended)
            if ended and rank < self._width:
                self._ended.append(found)
            elif not ended and len(going) < self._width:
                going.append(found)
        self._ended, self.live = self._best(self._ended), going
        return bool(self._ended or going)

    @property
    def done(self) -> bool:
        """Whether so many have ended, each no worse than any live one is at its length."""
        if len(self._ended) < self._width:
            return not self.live
        return self._ended[-1].score(self._penalty) >= max((self._score(one) for one in self.live), default=-np.inf)

    @property
    def found(self) -> list[Hypothesis]:
        """The best, the first the best of all, ended or not."""
        return self._best([*self._ended, *self.live])

    @property
    def kept(self) -> int | None:
        """The slot of the best that has ended, which is the state to go on from if no other comes before it."""
        return self._ended[0].slot if self._ended else None

    def scores(self, hypotheses: Sequence[Hypothesis]) -> list[float]:
        """Give what hypotheses are compared by."""
        return [self._score(one) for one in hypotheses]

    def _score(self, one: Hypothesis) -> float:
        return one.score(self._penalty)

    def _best(self, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        return sorted(hypotheses, key=self._score, reverse=True)[: self._width]

    def _steps(self, logits: Probabilities) -> Probabilities:
        """Give logarithms of the probability of each symbol, and of a stop after them where there is one."""
        if not self._decode.stop_unit:
            return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        symbols, stop = logits[:, :-1], logits[:, -1:]
        alone = symbols - np.logaddexp.reduce(symbols, axis=-1, keepdims=True)
        return np.concatenate([alone - np.logaddexp(0.0, stop), -np.logaddexp(0.0, -stop)], -1)


def _largest(values: Probabilities, count: int) -> list[int]:
    """Give the places of the largest values, the largest first; of equal ones the first."""
    places = np.arange(len(values))
    if count < len(values):
        least = np.partition(values, -count)[-count]
        places = np.flatnonzero(values >= least)
    ordered: list[int] = places[np.argsort(-values[places], kind="stable")][:count].tolist()
    return ordered
