"""A trained model as a distribution over whole sequences of symbols: scores one, draws one, knows where it ends.

Deep Learning, section 10.2.3, which has three ways to end: a symbol for it, a Bernoulli unit that stops, or a length
that is drawn before the sequence and told to the model.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, final

import torch
from torch import Tensor

from training.model import SequenceModel

Way = Literal["symbol", "stop", "length"]


class Scored(NamedTuple):
    """Natural logarithms: of each step's probability (of a length's too, first), and of the whole."""

    steps: list[float]
    total: float


@final
class Generative:
    """A model, where its sequences begin, and how they end.

    Args:
        model: reads a symbol a step, and is told at the beginning what the sequence is about.
        edge: the symbol that is read first; with the way `symbol` it ends a sequence too.
        way: how sequences end.
        lengths: of the way `length`, the probability of each, `[longest + 1]`.

    Attributes:
        way: how sequences end.
    """

    def __init__(self, model: SequenceModel, *, edge: int, way: Way, lengths: Sequence[float] = ()) -> None:
        self._model = model.eval()
        self._edge = edge
        self.way = way
        self._lengths = torch.tensor(lengths, dtype=torch.float64)

    @torch.no_grad()
    def score(self, symbols: Sequence[int], about: Sequence[float] = ()) -> Scored:
        """Give the logarithm of a sequence's probability, its end included."""
        count = len(symbols)
        told = [*about, float(count)] if self.way == "length" else list(about)
        x = torch.tensor([[self._edge, *symbols]])
        answers, _ = self._model(x, self._begin(told))
        steps = [self._log_p(answers[0, t], symbol) for t, symbol in enumerate(symbols)]
        if self.way == "length":
            likely = self._lengths[count].item() if count < len(self._lengths) else 0.0
            steps = [math.log(likely) if likely else -math.inf, *steps]
        else:
            steps.append(self._log_end(answers[0, -1]))
        return Scored(steps, sum(steps))

    @torch.no_grad()
    def sample(self, generator: torch.Generator, about: Sequence[float] = (), *, most: int = 1000) -> list[int]:
        """Draw a sequence step by step, each symbol given those before it; one that has no end by `most` is cut."""
        left, told = most, list(about)
        if self.way == "length":
            left = int(torch.multinomial(self._lengths, 1, generator=generator))
            told.append(float(left))
        symbols: list[int] = []
        last, state = self._edge, self._begin(told)
        while len(symbols) < left:
            answers, state = self._model(torch.tensor([[last]]), state)
            if self.way == "stop" and torch.rand((), generator=generator) < answers[0, 0, -1].sigmoid():
                break
            last = int(torch.multinomial(self._symbols(answers[0, 0]).exp(), 1, generator=generator))
            if self.way == "symbol" and last == self._edge:
                break
            symbols.append(last)
        return symbols

    def _begin(self, about: Sequence[float]) -> dict[str, Tensor]:
        return self._model.begin(1, torch.tensor([about]) if about else None)

    def _symbols(self, answers: Tensor) -> Tensor:
        """The logarithms of the symbols' probabilities, `[symbols]`, where the sequence does not stop there."""
        logits = (answers[:-1] if self.way == "stop" else answers).double()
        if self.way == "length":
            # It is read, and never drawn.
            logits = logits.index_fill(0, torch.tensor([self._edge]), -math.inf)
        return logits.log_softmax(0)

    def _log_p(self, answers: Tensor, symbol: int) -> float:
        goes_on = -torch.nn.functional.softplus(answers[-1].double()).item() if self.way == "stop" else 0.0
        return goes_on + self._symbols(answers)[symbol].item()

    def _log_end(self, answers: Tensor) -> float:
        if self.way == "stop":
            return -torch.nn.functional.softplus(-answers[-1].double()).item()
        return self._symbols(answers)[self._edge].item()
