"""Steps a second: this server, a bare echo and ONNX Runtime alone, in turn."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import final

from benchmarks.processes import LOAD, MEASURED, echo_server, graph_file, lstm, measure, recur_server
from benchmarks.record import Record, compare
from benchmarks.rounds import ROUNDS, in_turn


@final
@dataclass(frozen=True, slots=True)
class Throughput:
    """A load beside its references.

    Attributes:
        way: how requests travel, as benchmarks.load has it.
        callers: requests under way.
        size: steps of a message, or rows where the way is `rows`.
        batch: rows and steps of the batches that ONNX Runtime runs alone.
        bars: the references, each with the ratio to reach or None.
    """

    way: str
    callers: int
    size: int = 1
    batch: tuple[int, int] = (1, 1)
    bars: Mapping[str, float | None] = field(default_factory=dict)
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure; yields a record for each reference."""
        with ExitStack() as servers:
            measurements = {name: self._reference(name, servers) for name in self.bars}
            address = servers.enter_context(recur_server(lstm())).listen
            values = in_turn({**measurements, "recur": self._load(address)}, self.rounds)
        for name, bar in self.bars.items():
            yield compare(work, values["recur"], "steps/s", name, values[name], bar=bar)

    def _reference(self, name: str, servers: ExitStack) -> Callable[[], float]:
        if name == "echo":
            return self._load(servers.enter_context(echo_server()))
        graph = servers.enter_context(graph_file(lstm()))
        rows, steps = self.batch
        return partial(measure, "benchmarks.alone", str(graph), str(rows), str(steps), core=MEASURED)

    def _load(self, address: str) -> Callable[[], float]:
        return partial(measure, "benchmarks.load", address, self.way, str(self.callers), str(self.size), core=LOAD)
