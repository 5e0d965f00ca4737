"""How annotations are weighed, and read by their weights, so that a row's answer does not depend on its padding."""

import abc
from typing import Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from training.architectures.weights import uniform

Score = Literal["additive", "general", "dot"]
LOWEST = -1e30


class Scores(nn.Module, abc.ABC):
    """Scores `[batch, time, source]` of what is asked, `[batch, time, p]`, against keys `[batch, source, …]`."""

    @abc.abstractmethod
    def keys(self, annotations: Tensor) -> Tensor:
        """Make of the annotations what every question is held against."""

    @override
    @abc.abstractmethod
    def forward(self, asked: Tensor, keys: Tensor) -> Tensor:
        """Score every annotation."""


@final
class Additive(Scores):
    """`v' tanh(W s + U a)`, W `[n, p]`, U `[n, annotation]`, v `[n, 1]`, n as large as p. Bahdanau et al., 2015."""

    def __init__(self, asked: int, read: int) -> None:
        super().__init__()
        self.W = uniform(asked, asked, units=asked)
        self.U = uniform(asked, read, units=read)
        self.v = uniform(asked, 1, units=asked)

    @override
    def keys(self, annotations: Tensor) -> Tensor:
        return annotations @ self.U.T

    @override
    def forward(self, asked: Tensor, keys: Tensor) -> Tensor:
        return ((asked @ self.W.T)[:, :, None] + keys[:, None]).tanh().matmul(self.v)[..., 0]


@final
class General(Scores):
    """`s' U a`, U `[p, annotation]`. Luong et al., 2015, equation 8."""

    def __init__(self, asked: int, read: int) -> None:
        super().__init__()
        self.U = uniform(asked, read, units=read)

    @override
    def keys(self, annotations: Tensor) -> Tensor:
        return annotations @ self.U.T

    @override
    def forward(self, asked: Tensor, keys: Tensor) -> Tensor:
        return products(asked, keys)


@final
class Dot(Scores):
    """`s' a`, of as many features. Luong et al., 2015, equation 8."""

    def __init__(self, asked: int, read: int) -> None:
        super().__init__()
        if asked != read:
            raise ValueError(
                f"dot attention needs a decoder as large as an annotation, and they are {asked} and {read}"
            )

    @override
    def keys(self, annotations: Tensor) -> Tensor:
        return annotations

    @override
    def forward(self, asked: Tensor, keys: Tensor) -> Tensor:
        return products(asked, keys)


def products(asked: Tensor, keys: Tensor) -> Tensor:
    """Multiply `[batch, time, n]` with `[batch, source, n]`; twice, since one row's sum has another order."""
    return torch.cat([asked, asked], 1).bmm(keys.transpose(1, 2))[:, : asked.shape[1]]


@final
class Window(nn.Module):
    """`p_t = (S - 1) sigmoid(v' tanh(W s_t))`, the place that a step looks at, in a source of S symbols.

    Scores lose `(j - p_t)^2 / (2 (D / 2)^2)` at place j. W `[p, p]`, v `[p, 1]`. Luong et al., 2015, section 3.2,
    equations 9 and 10, where besides nothing is read further away than D, and weights do not sum to one any more.

    Args:
        asked: p, the size of what is asked.
        reach: D.
    """

    def __init__(self, asked: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.W = uniform(asked, asked, units=asked)
        self.v = uniform(asked, 1, units=asked)

    @override
    def forward(self, scores: Tensor, asked: Tensor, lengths: Tensor) -> Tensor:
        """Hold scores `[batch, time, source]` to the window of each `asked [batch, time, p]`."""
        middle = (lengths - 1)[:, None, None] * ((asked @ self.W.T).tanh() @ self.v).sigmoid()
        away = torch.arange(scores.shape[-1], device=scores.device) - middle
        return scores - 2 * (away / self.reach) ** 2


def attend(scores: Tensor, annotations: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Read annotations by the softmax of their scores; gives `[batch, time, annotation]` and `[batch, time, source]`.

    Args:
        scores: of all places.
        annotations: `[batch, source, annotation + 1]`, the last column ones: it sums the weights, in the same order
            as all else is summed, which a longer padding does not change.
        lengths: places of each row that are no padding, `[batch]`.
    """
    places = torch.arange(scores.shape[-1], device=scores.device)
    scores = torch.where(places < lengths[:, None, None], scores, LOWEST)
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    read = torch.cat([weights, weights], 1).bmm(annotations)[:, : scores.shape[1]]
    return read[..., :-1] / read[..., -1:], weights / read[..., -1:]


def open_score(score: Score, asked: int, read: int) -> Scores:
    """Build scores by name; raises ValueError where sizes do not fit."""
    kinds: dict[Score, type[Additive | General | Dot]] = {"additive": Additive, "general": General, "dot": Dot}
    return kinds[score](asked, read)
