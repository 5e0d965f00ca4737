"""One sequence of symbols written from another: as it must be word for word, or as a translation may be."""

import abc
from collections.abc import Iterator, Sequence
from functools import partial
from typing import final

import sacrebleu
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training.batches import collate
from training.data.series import Series
from training.decoding import greedy
from training.model import SequenceModel
from training.tasks.base import Task

ROWS = 64
# What a model writes may be so much longer than what it should.
LONGER = 10


class Writing(Task, abc.ABC):
    """Answers are logits of all symbols; the metric is of what the model writes, its own last symbol fed back."""

    unit = "nats"
    better = "higher"

    def __init__(self, edge: int) -> None:
        self._edge = edge

    @override
    def losses(self, answers: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(answers, targets, reduction="none")

    @override
    @abc.abstractmethod
    def freely(self, model: SequenceModel, series: Sequence[Series]) -> float: ...

    def written(self, model: SequenceModel, series: Sequence[Series]) -> Iterator[tuple[list[int], list[int]]]:
        """Give what should be written and what is, without the ends, of sequences sorted by their length."""
        ordered = sorted(series, key=lambda one: len(one.inputs))
        for first in range(0, len(ordered), ROWS):
            some = ordered[first : first + ROWS]
            batch = collate(some)
            context = batch.told(partial(Tensor.to, device=next(model.parameters()).device))
            rows = greedy(model, context, len(some), edge=self._edge, most=batch.x.shape[1] + LONGER)
            yield from zip([one.targets[:-1].tolist() for one in some], rows, strict=True)


@final
class Rewrite(Writing):
    """The metric is the share of sequences that are right from the first symbol to the end."""

    metric = "sequences_right"

    @override
    def freely(self, model: SequenceModel, series: Sequence[Series]) -> float:
        right = [should == does for should, does in self.written(model, series)]
        return sum(right) / len(right)


@final
class Translate(Writing):
    """The metric is BLEU of the tokens as they are. Papineni et al., "BLEU", 2002.

    Args:
        edge: as in all that is written.
        unknown: the symbol of all tokens that the model does not know, which is never right; None where there is none.
    """

    metric = "bleu"

    def __init__(self, edge: int, unknown: int | None = None) -> None:
        super().__init__(edge)
        self._unknown = unknown

    @override
    def freely(self, model: SequenceModel, series: Sequence[Series]) -> float:
        pairs = list(self.written(model, series))
        should = [" ".join("unknown" if symbol == self._unknown else str(symbol) for symbol in one) for one, _ in pairs]
        does = [" ".join(map(str, one)) for _, one in pairs]
        score: float = sacrebleu.corpus_bleu(does, [should], tokenize="none", force=True).score
        return score
