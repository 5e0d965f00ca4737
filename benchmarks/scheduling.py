"""What the scheduler costs, beside what it may."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import final

from benchmarks.processes import MEASURED, measure
from benchmarks.record import Record, compare
from benchmarks.rounds import ROUNDS, in_turn

MICROSECONDS = 1e6


@final
@dataclass(frozen=True, slots=True)
class Scheduling:
    """Microseconds of CPU a step, beside what they may be."""

    allowed: float
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure."""
        seconds = in_turn({work: partial(measure, "benchmarks.scheduler", core=MEASURED)}, self.rounds)[work]
        allowed = [self.allowed] * self.rounds
        values = [MICROSECONDS * value for value in seconds]
        yield compare(work, values, "us/step", "allowed", allowed, better="lower", bar=1.0)
