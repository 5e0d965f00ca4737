"""What a recipe is trained on, wherever it comes from: sequences in three parts, and what their numbers mean."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from training.data.series import Parts, Series, delayed
from training.errors import DataInvalid

Sequences = Sequence[Series]

# Steps that are squared at a time.
PIECE = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Sequences to train, validate and test on.

    Attributes:
        parts: of a long series the parts have one sequence each.
        symbols: how many symbols an input may be; 0 where inputs are numbers.
        classes: how many classes or symbols a target may be; 0 where targets are numbers.
        licence: of the data.
        digest: of all that is in it.
        note: what a person should know of how it was read; empty where there is nothing.
        vocabulary: the symbols' texts, in the order of their indices.
        labels: the classes' names, in that order.
        edge: the symbol that every sequence is read from, and where `ends` is none of another kind the last target.
        ends: how a sequence of symbols ends: with the edge, or when a length that was said is reached; empty where
            sequences go on.
        source_symbols: how many symbols the source may be of that a sequence is written from; 0 where there is none.
        source_vocabulary: their texts, in the order of their indices.
        about: what the context's first numbers stand for, one each, by name.
        baselines: what a model must beat, by name, in the task's metric.
    """

    parts: Parts[Sequences]
    symbols: int
    classes: int
    licence: str
    digest: str
    note: str = ""
    vocabulary: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    edge: int | None = None
    ends: Literal["", "symbol", "length"] = ""
    source_symbols: int = 0
    source_vocabulary: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    baselines: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise DataInvalid for a part that is empty."""
        for name, part in (("train", self.parts.train), ("validate", self.parts.validation), ("test", self.parts.test)):
            if not part or not all(len(one.inputs) for one in part):
                raise DataInvalid(f"the data has nothing to {name} on, or an empty sequence ({self.parts.rule})")

    @property
    def features(self) -> int:
        """How many numbers an input is; 0 where it is a symbol."""
        return 0 if self.symbols else int(self.parts.train[0].inputs.shape[-1])

    @property
    def fields(self) -> int:
        """How many symbols an input is where it is several; 0 otherwise."""
        inputs = self.parts.train[0].inputs
        return inputs.shape[1] if self.symbols and inputs.ndim > 1 else 0

    @property
    def context(self) -> int:
        """How many numbers say what a sequence is about; 0 where nothing is said."""
        told = self.parts.train[0].context
        return 0 if told is None or self.source_symbols else len(told)

    @property
    def outputs(self) -> int:
        """How many numbers a model answers with."""
        return self.classes or int(self.parts.train[0].targets.shape[-1])

    def delayed(self, steps: int) -> "Data":
        """Let targets come later, for a model whose answers do."""
        if not steps:
            return self
        parts = self.parts.each(lambda part: [delayed(one, steps) for one in part])
        return replace(self, parts=parts)

    def input_units(self) -> tuple[np.ndarray, np.ndarray]:
        """Measure mean and deviation of the training inputs, `[features]` each."""
        return _units([one.inputs for one in self.parts.train])

    def target_units(self) -> tuple[np.ndarray, np.ndarray]:
        """Measure mean and deviation of the training targets, `[features]` each."""
        per_step = self.parts.train[0].is_stepwise
        return _units([one.targets if per_step else one.targets[None] for one in self.parts.train])


def _units(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    count = sum(map(len, arrays))
    mean = sum(array.sum(0, dtype=np.float64) for array in arrays) / count
    square = sum(np.square(piece - mean, dtype=np.float64).sum(0) for piece in _pieces(arrays)) / count
    return mean.astype(np.float32), np.sqrt(square).astype(np.float32)


def _pieces(arrays: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Give the arrays' steps, no more at a time than fit into memory however long a sequence is."""
    for array in arrays:
        for first in range(0, len(array), PIECE):
            yield array[first : first + PIECE]


def digest_of_parts(parts: Parts[Sequences]) -> str:
    """Digest every number of the data, in order."""
    found = hashlib.sha256()
    for part in (parts.train, parts.validation, parts.test):
        for one in part:
            told = [array for array in (one.context, one.facts) if array is not None]
            for array in (one.inputs, one.targets, *told):
                found.update(repr((array.shape, array.dtype.str)).encode())
                found.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{found.hexdigest()}"
