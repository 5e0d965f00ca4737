"""When a request is sent again: what is safe and useful, after a pause, inside one deadline."""

import random
import time
from collections.abc import Callable
from typing import final

import msgspec

from client.errors import ClientError, Full, Timeout

# Without a reason these come from the way to the server: a cut connection, a proxy, the deadline of one try.
FROM_THE_WAY = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL"})
PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})


class Retry(msgspec.Struct, frozen=True):
    """How long to go on.

    Attributes:
        deadline_seconds: for a request with all its tries.
        try_seconds: for one try; after it the answer counts as lost.
        first_pause_seconds: before the second try; doubled at each further one, and a random part of it taken.
        longest_pause_seconds: the most of it. A hint of the server is kept even if it is longer.
    """

    deadline_seconds: float = 30.0
    try_seconds: float = 10.0
    first_pause_seconds: float = 0.05
    longest_pause_seconds: float = 2.0


# A block that failed is left at once: the END of its sequences is tried no longer than this.
HURRIED = Retry(deadline_seconds=1.0, try_seconds=1.0)


def may_retry(error: ClientError, *, safe: bool) -> bool:
    """Tell whether the same request, sent again, is applied at most once and may succeed."""
    if error.code == Full.default_code:
        return error.retry_after_seconds is not None  # a message that is too large comes without a hint
    if not safe:
        return False
    return error.code in PASSING or (not error.reason and error.code in FROM_THE_WAY)


@final
class Attempts:
    """The tries of one request; the clock and the dice are arguments, so that tests decide them."""

    def __init__(
        self,
        retry: Retry,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._retry = retry
        self._clock = clock
        self._dice = dice
        self.begin_anew()

    def begin_anew(self) -> None:
        """Give the whole deadline again: of many answers one has come."""
        self._ends = self._clock() + self._retry.deadline_seconds
        self._failures = 0

    def try_seconds(self) -> float:
        """Tell how long the next try may take."""
        return max(0.0, min(self._retry.try_seconds, self._ends - self._clock()))

    def pause(self, hint_seconds: float | None = None) -> float | None:
        """Count a failure and tell how long to wait; None where that would be past the deadline."""
        longest = min(
            self._retry.longest_pause_seconds, self._retry.first_pause_seconds * 2.0 ** min(self._failures, 32)
        )
        self._failures += 1
        spread = longest * (0.5 + self._dice() / 2)
        seconds = spread if hint_seconds is None else hint_seconds + spread
        return seconds if self._clock() + seconds < self._ends else None

    def pause_after(self, error: ClientError, *, safe: bool) -> float:
        """Tell how long to wait after `error`; raises it, or Timeout, where the request is not sent again."""
        if not may_retry(error, safe=safe):
            raise error
        seconds = self.pause(error.retry_after_seconds)
        if seconds is not None:
            return seconds
        if isinstance(error, Full):
            raise error
        raise Timeout(
            f"no answer within {self._retry.deadline_seconds:g} seconds and {self._failures} tries; "
            f"the last ended with {error}"
        ) from error
