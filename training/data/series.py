"""What a model is trained on: sequences of numbers or of symbols, with targets, in three parts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Part_co = TypeVar("Part_co", covariant=True)
Other = TypeVar("Other")
Item = TypeVar("Item")

PARTS = ("train", "validation", "test")

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts(Generic[Part_co]):
    """The three parts of a set; `rule` says how they were made."""

    train: Part_co
    validation: Part_co
    test: Part_co
    rule: str

    def each(self, make: Callable[[Part_co], Other]) -> "Parts[Other]":
        """Make something of each part."""
        return Parts(make(self.train), make(self.validation), make(self.test), self.rule)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One sequence.

    Attributes:
        inputs: FP32 `[time, features]`, or symbols INT64 `[time]`, or `[time, fields]` where a step is several.
        targets: for each step `[time, features]` (FP32) or `[time]` (INT64, classes); one for the whole sequence has no
            axis of time. A step of which nothing is asked has NaN, or the class -1.
        context: what the sequence is about, FP32 `[features]`, or the symbols that it is written from, INT64
            `[source]`; None where nothing is said.
        facts: the steps that the answer follows from, in the order of use, INT64 `[facts]`; None where nobody says.
    """

    inputs: Floats | Indices
    targets: Floats | Indices
    context: Floats | Indices | None = None
    facts: Indices | None = None

    @property
    def is_stepwise(self) -> bool:
        """Whether there is a target for each step: numbers have an axis of features beside that of time."""
        return self.targets.ndim == (2 if self.targets.dtype.kind == "f" else 1)

    @property
    def asked(self) -> int:
        """How many steps have a target, where each step may have one."""
        if self.targets.ndim == 2:
            return int((~np.isnan(self.targets)).all(-1).sum())
        return int((self.targets >= 0).sum()) if self.is_stepwise else len(self.inputs)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Sequences of one length: inputs `[batch, time, …]`, targets as a Series has them, after `[batch]`."""

    inputs: Floats | Indices
    targets: Floats | Indices

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, row: int) -> Series:
        return Series(self.inputs[row], self.targets[row])

    def __iter__(self) -> Iterator[Series]:
        return (self[row] for row in range(len(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Symbols:
    """Symbols below `kinds`: inputs INT64 `[batch, time]`, targets INT64 `[batch]` or `[batch, time]`."""

    inputs: Indices
    targets: Indices
    kinds: int

    def one_hot(self) -> Batch:
        """Give every symbol as a row of zeros with a one: inputs `[batch, time, kinds]`."""
        return Batch(np.eye(self.kinds, dtype=np.float32)[self.inputs], self.targets)


def delayed(series: Series, steps: int) -> Series:
    """Let a step's target come `steps` later, behind zeros: as many zeros follow the inputs."""
    inputs = np.concatenate([series.inputs, np.zeros_like(series.inputs, shape=(steps, *series.inputs.shape[1:]))])
    targets = series.targets
    if series.is_stepwise:
        targets = np.concatenate([np.zeros_like(targets, shape=(steps, *targets.shape[1:])), targets])
    return replace(series, inputs=inputs, targets=targets)


def next_step(values: Floats) -> Series:
    """Make values `[time + 1, features]` inputs, and of each the next value its target, both `[time, features]`."""
    return Series(values[:-1], values[1:])


def part_by_seed(items: Sequence[Item], seed: int) -> Parts[list[Item]]:
    """Draw a tenth for validation and a tenth for test; the rest trains."""
    order = np.random.default_rng(seed).permutation(len(items))
    tenth = len(items) // 10
    parts = order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth]
    train, validation, test = ([items[i] for i in sorted(part)] for part in parts)
    return Parts(train, validation, test, f"a tenth each for validation and test, drawn by seed {seed}")


def validate_by_seed(
    items: Sequence[Item], test: list[Item], seed: int, rule: str = "as released"
) -> Parts[list[Item]]:
    """Draw a tenth of what trains for validation, where a set was released without such a part."""
    validation, train = tenth_by_seed(len(items), seed)
    return Parts([items[i] for i in train], [items[i] for i in validation], test, f"{rule}; {drawn(seed)}")


def tenth_by_seed(count: int, seed: int) -> tuple[Indices, Indices]:
    """Draw a tenth of the indices below `count`; gives it and the rest, each in order."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: count // 10]), np.sort(order[count // 10 :])


def drawn(seed: int) -> str:
    """Say how validation was drawn from training."""
    return f"a tenth of training validates, drawn by seed {seed}"


def part_in_order(values: Floats) -> Parts[Floats]:
    """Cut values `[time, features]` where 8 and 9 tenths of the time are over."""
    ends = [len(values) * 8 // 10, len(values) * 9 // 10]
    return Parts(
        values[: ends[0]], values[ends[0] : ends[1]], values[ends[1] :], "in order: 8 tenths, 1 tenth, 1 tenth"
    )
