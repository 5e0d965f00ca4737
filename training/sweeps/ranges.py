"""What a search may choose from: ranges of numbers, and choices."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from training.options import Count, NotNegative

Number = int | float


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one setting is chosen from: numbers from `low` to `high`, whole ones where both are, or `choices`.

    Attributes:
        log: whether the number's logarithm is chosen evenly, rather than the number.
        step: between numbers, from `low` on; whole numbers are 1 apart unless given.
    """

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = None
    choices: tuple[bool | int | float | str, ...] | None = None

    def __post_init__(self) -> None:
        """Check what no type says."""
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.step is not None or self.log:
                raise ValueError("choices are given alone, without low, high, log and step")
            if not self.choices:
                raise ValueError("choices is empty; give one or more")
        elif self.low is None or self.high is None:
            raise ValueError("low and high are expected, or choices")
        else:
            self._check_numbers(self.low, self.high)

    def _check_numbers(self, low: Number, high: Number) -> None:
        if not abs(low) <= sys.float_info.max or not abs(high) <= sys.float_info.max:
            raise ValueError(f"low = {low}, high = {high}: finite numbers are expected")
        if low > high:
            raise ValueError(f"nothing is between low = {low} and high = {high}")
        if self.log and (low <= 0 or self.step is not None):
            raise ValueError("log needs low above 0, and no step")
        if self.step is not None and not 0 < self.step <= sys.float_info.max:
            raise ValueError(f"step = {self.step}: a number above 0 is expected")
        if self.step is not None and not math.isclose(steps := (high - low) / self.step, round(steps), abs_tol=1e-9):
            raise ValueError(f"step = {self.step} does not lead from {low} to {high}")
        if self.is_whole and isinstance(self.step, float):
            raise ValueError(f"step = {self.step} is not whole, and low and high are: write them with a point")

    @property
    def is_whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[object, ...]:
        """What is tried before a search begins: all choices, or the lowest and the highest number."""
        return self.choices if self.choices is not None else (self.low, self.high)


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search over settings.

    Attributes:
        trials: trainings of each recipe, pruned ones among them.
        settings: what each is chosen from, by key.
        seed: of the choice; the trainings have their recipe's.
    """

    trials: Count
    settings: dict[str, Range]
    seed: NotNegative = 0


def ranges_in(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Find the ranges in a table whose keys may be written as tables in tables."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value and all(isinstance(inner, Mapping) for inner in value.values()):
            yield from ranges_in(value, f"{before}{key}.")
        else:
            yield before + key, value
