"""How long requests wait when the server is half busy, beside a bare echo at the same rate."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import final

from benchmarks.processes import LOAD, echo_server, lstm, measure, recur_server
from benchmarks.record import Record, compare
from benchmarks.rounds import ROUNDS, in_turn

MICROSECONDS = 1e6


@final
@dataclass(frozen=True, slots=True)
class HalfLoad:
    """The 99th percentile of streams that together send half of what this server can answer."""

    streams: int
    bar: float
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure what the server can answer, then both at half of it."""
        with echo_server() as echo, recur_server(lstm()) as server:
            most = measure("benchmarks.load", server.listen, "stream", str(self.streams), "1", core=LOAD)
            addresses = {"echo": echo, "recur": server.listen}
            seconds = in_turn(
                {name: partial(self._latency, address, most / 2) for name, address in addresses.items()}, self.rounds
            )
        yield compare(work, seconds["recur"], "us", "echo", seconds["echo"], better="lower", bar=self.bar)

    def _latency(self, address: str, rate: float) -> float:
        return MICROSECONDS * measure("benchmarks.paced", address, str(self.streams), str(rate), core=LOAD)
