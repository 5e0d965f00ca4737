"""The paced load: streams that send at fixed times, whether or not earlier answers have come.

`python -m benchmarks.paced ADDRESS STREAMS RATE` prints the 99th percentile of the latencies in seconds, each counted
from the time at which its request was due, so that a server that stalls cannot hide what waited meanwhile.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import grpc
import numpy as np

from benchmarks.answers import check_step
from benchmarks.calls import Stream
from benchmarks.load import run
from benchmarks.requests import step_request

WARM_SECONDS, SECONDS = 1.0, 3.0
# The load goes on for so long, that the last answers that count are waited for under load.
TAIL_SECONDS = 0.25
PERCENT = 99
# A pause of the pacing thread; the event loop's own timers have a millisecond's resolution.
SHORTEST_PAUSE_SECONDS = 100e-6


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest of the values that `percent` of them do not exceed."""
    return float(np.percentile(values, percent, method="inverted_cdf"))


@final
@dataclass(slots=True)
class Pace:
    """Even spaces between sends: the n-th is due n / rate seconds after the beginning."""

    rate: float
    sent: int = 0

    def due(self, elapsed: float) -> range:
        """Give the sends that have become due since the last call."""
        first, self.sent = self.sent, max(self.sent, int(elapsed * self.rate) + 1)
        return range(first, self.sent)

    def time_of(self, send: int) -> float:
        """Give the seconds from the beginning at which a send is due."""
        return send / self.rate


@final
@dataclass(slots=True)
class Latencies:
    """Seconds from due to answered, of the requests due within a window; times are from the load's beginning."""

    begin: float
    end: float
    seconds: list[float] = field(default_factory=list)

    def answered(self, due: float, now: float) -> None:
        """Record an answer."""
        if self.begin <= due < self.end:
            self.seconds.append(now - due)


@final
class PacedStream:
    """One sequence: a writer that follows the pace and a reader that takes the times."""

    def __init__(self, channel: grpc.aio.Channel, sequence: int) -> None:
        self._stream = Stream(channel)
        self._sequence = sequence
        self._unsent = asyncio.Semaphore(0)
        self._unanswered: deque[float] = deque()

    async def open(self) -> None:
        """Begin the sequence, before the pace does."""
        await self._stream.write(step_request(self._sequence, start=True))
        check_step(await self._stream.read())

    def send(self, due: float) -> None:
        """Let a request go that is due now."""
        self._unanswered.append(due)
        self._unsent.release()

    async def write(self) -> None:
        """Write what was sent, one message at a time as gRPC asks."""
        request = step_request(self._sequence)
        while True:
            await self._unsent.acquire()
            await self._stream.write(request)

    async def read(self, began: float, latencies: Latencies) -> None:
        """Take the time of every answer."""
        while True:
            check_step(await self._stream.read())
            latencies.answered(self._unanswered.popleft(), time.perf_counter() - began)

    def give_up(self, now: float, latencies: Latencies) -> None:
        """Count what was never answered as answered now: a server that is far behind must not look fast."""
        for due in self._unanswered:
            latencies.answered(due, now)


async def drive(
    address: str, streams: int, rate: float, *, warm_seconds: float = WARM_SECONDS, seconds: float = SECONDS
) -> list[float]:
    """Send at `rate` a second over all streams; gives the latencies after the warm time."""
    end = warm_seconds + seconds
    latencies = Latencies(warm_seconds, end)
    async with grpc.aio.insecure_channel(address) as channel:
        callers = [PacedStream(channel, number + 1) for number in range(streams)]
        await asyncio.gather(*(caller.open() for caller in callers))
        began = time.perf_counter()
        tasks = [asyncio.create_task(caller.read(began, latencies)) for caller in callers]
        tasks += [asyncio.create_task(caller.write()) for caller in callers]
        try:
            await asyncio.to_thread(
                _send, callers, Pace(rate), began, end + TAIL_SECONDS, loop=asyncio.get_running_loop()
            )
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    for caller in callers:
        caller.give_up(time.perf_counter() - began, latencies)
    return latencies.seconds


def _send(
    callers: Sequence[PacedStream], pace: Pace, began: float, seconds: float, *, loop: asyncio.AbstractEventLoop
) -> None:
    """Follow the pace in a thread of its own: it costs the loop, which has many events to handle, nothing."""
    elapsed = 0.0
    while elapsed < seconds:
        elapsed = min(time.perf_counter() - began, seconds)
        for send in pace.due(elapsed):
            loop.call_soon_threadsafe(callers[send % len(callers)].send, pace.time_of(send))
        wait = pace.time_of(pace.sent) - (time.perf_counter() - began)
        time.sleep(max(wait, SHORTEST_PAUSE_SECONDS))


async def _percentile(address: str, streams: int, rate: float) -> float:
    return percentile(await drive(address, streams, rate), PERCENT)


if __name__ == "__main__":
    sys.exit(run(_percentile(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
