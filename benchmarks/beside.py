"""Seconds of work of our own beside the same work by a peer's library, a process each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import final

from benchmarks.processes import MEASURED, measure
from benchmarks.record import Record, compare
from benchmarks.rounds import ROUNDS, in_turn


@final
@dataclass(frozen=True, slots=True)
class BesidePeer:
    """A module that prints the seconds of one of two, on the measured core.

    Attributes:
        module: what measures.
        arguments: those of the module, with `{}` where it is said whose work it is.
        peer: whose the other work is.
        bar: the most that ours may take, of the peer's.
    """

    module: str
    arguments: tuple[str, ...]
    peer: str
    bar: float
    rounds: int = ROUNDS

    def records(self, work: str) -> Iterator[Record]:
        """Measure."""
        seconds = in_turn({name: partial(self._seconds, name) for name in ("recur", self.peer)}, self.rounds)
        yield compare(work, seconds["recur"], "s", self.peer, seconds[self.peer], better="lower", bar=self.bar)

    def _seconds(self, whose: str) -> float:
        return measure(self.module, *(argument.format(whose) for argument in self.arguments), core=MEASURED)
