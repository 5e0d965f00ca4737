"""Generated steps a second, beside the engine's own and beside each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import final

from benchmarks.processes import LOAD, MEASURED, measure, recur_server, repository_of
from benchmarks.record import Record, compare
from benchmarks.rounds import ROUNDS, in_turn
from benchmarks.writer import writer

MICROSECONDS = 1e6


@final
@dataclass(frozen=True, slots=True)
class Generated:
    """Sequences that write at once, beside as many that only step.

    They step in the engine of a process without a transport, which has the bar; on a stream, asked for every step; and
    they write there with an answer for every step.
    """

    sequences: int
    together: int
    bar: float
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure."""
        model, count = writer(), str(self.sequences)
        with repository_of(model) as repository, recur_server(model) as server:
            values = in_turn(
                {
                    "engine": partial(measure, "benchmarks.stepping", str(repository), count, core=MEASURED),
                    "stepped": partial(measure, "benchmarks.writing", server.listen, count, "-1", core=LOAD),
                    "one a step": partial(measure, "benchmarks.writing", server.listen, count, "0", "1", core=LOAD),
                    "recur": partial(
                        measure, "benchmarks.writing", server.listen, count, "0", str(self.together), core=LOAD
                    ),
                },
                self.rounds,
            )
        yield compare(work, values["recur"], "steps/s", "engine", values["engine"], bar=self.bar)
        yield compare(work, values["recur"], "steps/s", "stepped", values["stepped"])
        yield compare(work, values["recur"], "steps/s", "one a step", values["one a step"])


@final
@dataclass(frozen=True, slots=True)
class Searched:
    """What a step of sequences that search costs, beside one of as many that draw."""

    sequences: int
    width: int
    bar: float
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure."""
        with recur_server(writer()) as server:
            values = in_turn(
                {
                    name: partial(self._cost, server.listen, width)
                    for name, width in (("drawn", 0), ("beams", self.width))
                },
                self.rounds,
            )
        yield compare(work, values["beams"], "us/step", "drawn", values["drawn"], better="lower", bar=self.bar)

    def _cost(self, address: str, width: int) -> float:
        return MICROSECONDS / measure("benchmarks.writing", address, str(self.sequences), str(width), core=LOAD)
