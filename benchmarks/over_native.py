"""Calls over the native transport, beside pygrpc-native bare, the same calls over grpc.aio, and ONNX Runtime alone."""

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
class OverNative:
    """Unary calls under way on one connection, written as frames by hand: grpc.aio's client would be the wall.

    Attributes:
        callers: calls under way.
        rows: sequences of a call.
        batch: rows and steps of the batches that ONNX Runtime runs alone.
        bars: the references, each with the ratio to reach or None.
    """

    callers: int
    rows: int = 1
    batch: tuple[int, int] = (1, 1)
    bars: Mapping[str, float | None] = field(default_factory=dict)
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure; yields a record for each reference."""
        with ExitStack() as servers:
            measurements = {name: self._reference(name, servers) for name in self.bars}
            values = in_turn({**measurements, "recur": self._served("native", servers)}, self.rounds)
        for name, bar in self.bars.items():
            yield compare(work, values["recur"], "steps/s", name, values[name], bar=bar)

    def _reference(self, name: str, servers: ExitStack) -> Callable[[], float]:
        if name == "echo":
            return self._load(servers.enter_context(echo_server("benchmarks.native_echo")))
        if name == "onnxruntime":
            graph = servers.enter_context(graph_file(lstm()))
            rows, steps = self.batch
            return partial(measure, "benchmarks.alone", str(graph), str(rows), str(steps), core=MEASURED)
        return self._served(name, servers)

    def _served(self, transport: str, servers: ExitStack) -> Callable[[], float]:
        return self._load(servers.enter_context(recur_server(lstm(), "--transport", transport)).listen)

    def _load(self, address: str) -> Callable[[], float]:
        return partial(measure, "benchmarks.frames", address, str(self.callers), str(self.rows), core=LOAD)
