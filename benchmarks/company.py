"""What others notice of clients that misbehave: how much longer they wait, or how soon they are answered at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import final

from benchmarks.processes import LOAD, Unmeasured, lstm, measure, recur_server, start
from benchmarks.record import Record, compare
from benchmarks.rounds import ROUNDS, in_turn

MICROSECONDS = 1e6


@final
@dataclass(frozen=True, slots=True)
class Beside:
    """The 99th percentile of streams beside slow readers, slow senders and half-open clients, and without them."""

    streams: int
    sluggish: int
    bar: float
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure at a quarter of what this server can answer, so that waiting is theirs and not the load's own."""
        with recur_server(lstm()) as server:
            most = measure("benchmarks.load", server.listen, "stream", str(self.streams), "1", core=LOAD)
            alone = partial(self._latency, server.listen, most / 4)
            beside = partial(self._beside, server.listen, most / 4)
            seconds = in_turn({"alone": alone, "beside": beside}, self.rounds)
        yield compare(work, seconds["beside"], "us", "alone", seconds["alone"], better="lower", bar=self.bar)

    def _latency(self, address: str, rate: float) -> float:
        return MICROSECONDS * measure("benchmarks.paced", address, str(self.streams), str(rate), core=LOAD)

    def _beside(self, address: str, rate: float) -> float:
        with start("benchmarks.sluggish", address, str(self.sluggish), core=LOAD) as process:
            try:
                if process.stdout is None or process.stdout.readline() != "ready\n":
                    raise Unmeasured("the slow clients did not begin")
                seconds = self._latency(address, rate)
                if process.poll() is not None:
                    raise Unmeasured("the slow clients did not go on")
                return seconds
            finally:
                process.kill()


@final
@dataclass(frozen=True, slots=True)
class Flooded:
    """Seconds until a client is answered that comes right after a flood, beside what they may be."""

    kind: str
    count: int
    allowed: float
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure."""
        with recur_server(lstm()) as server:
            flood = partial(measure, "benchmarks.flood", server.listen, self.kind, str(self.count), core=LOAD)
            seconds = in_turn({work: flood}, self.rounds)[work]
        yield compare(work, seconds, "s", "allowed", [self.allowed] * self.rounds, better="lower", bar=1.0)
