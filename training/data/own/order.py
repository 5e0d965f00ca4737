"""Whether rows stand as they should: those of a sequence together, each later than the one before."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl


@dataclass(slots=True)
class Order:
    """Remembers which sequences began, and where the last one is, from call to call."""

    _key: str | None = None
    _time: Any = None
    _seen: set[str] = field(default_factory=set)
    _by_number: bool | None = None

    def wrong_with(self, keys: pl.Series, times: pl.Series | None) -> pl.Series:
        """Say of each of the next rows what is wrong with its place, null where nothing is.

        Args:
            keys: the sequence of each.
            times: when it was, if there is a column of that.
        """
        reasons: list[str | None] = []
        comparable = None if times is None else self._comparable(times)
        start = 0
        for length, key in keys.rle().struct.unnest().iter_rows():
            if key != self._key and key in self._seen:
                reasons += ["goes on with a sequence after others began; sort the file by sequence and time"] * length
            else:
                self._enter(key)
                reasons += [None] * length if comparable is None else self._late(comparable[start : start + length])
            start += length
        return pl.Series(reasons, dtype=pl.String)

    def _enter(self, key: str) -> None:
        if key != self._key:
            self._key, self._time = key, None
            self._seen.add(key)

    def _comparable(self, times: pl.Series) -> pl.Series:
        if times.dtype != pl.String:
            return times
        if self._by_number is None and len(times):
            self._by_number = times[:1].cast(pl.Float64, strict=False).null_count() == 0
        # Numbers that are written as text do not sort as text.
        return times.cast(pl.Float64, strict=False) if self._by_number else times

    def _late(self, times: pl.Series) -> list[str | None]:
        if (self._time is None or (times[0] is not None and times[0] > self._time)) and _grows(times):
            self._time = times[-1]
            return [None] * len(times)
        reasons: list[str | None] = []
        for time in times:
            if time is None or time != time:
                reasons.append("has a time that is no number, unlike the first")
            elif self._time is not None and time <= self._time:
                reasons.append(f"has the time {time}, which is not after {self._time} of the row before")
            else:
                self._time = time
                reasons.append(None)
        return reasons


def _grows(times: pl.Series) -> bool:
    # A null or a NaN compares as neither.
    return times.null_count() == 0 and bool((times[1:] > times[:-1]).all()) and times[0] == times[0]
