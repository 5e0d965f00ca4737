"""The course of a sweep: trainings are begun, watched, pruned, and begun again where they were killed."""

import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, final

from training.errors import Interrupted
from training.sweeps.work import Standing, Work
from training.sweeps.workers import Workers

# How often a training that was killed is begun again; it goes on from its checkpoint.
AGAIN = 3
LOOK_SECONDS = 0.2


class Best(NamedTuple):
    """A training that none is better than, and what it reached, in words."""

    work: Work
    reached: str


class Source(Protocol):
    """Where trainings come from.

    Attributes:
        works: all that have come so far.
        total: how many there will be.
    """

    works: list[Work]
    total: int

    def next(self) -> Work | None:
        """Give one to be begun; None where there is none at this time."""
        ...

    def is_unpromising(self, work: Work) -> bool:
        """Whether one that trains is to be pruned."""
        ...

    def ended(self, work: Work) -> None:
        """Take note of one that is done, pruned or failed."""
        ...

    def best(self) -> list[Best]:
        """Give the best of what was searched."""
        ...


@final
class Listed:
    """Trainings that are all known before the first."""

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = list(works)
        self.total = len(works)
        self._waiting = deque(works)

    def next(self) -> Work | None:
        """Give the next of the list."""
        return self._waiting.popleft() if self._waiting else None

    def is_unpromising(self, _: Work) -> bool:
        """Each is trained to its end."""
        return False

    def ended(self, _: Work) -> None:
        """What came of one changes nothing of the others."""

    def best(self) -> list[Best]:
        """None was searched for."""
        return []


@final
class Sweep:
    """Has all trainings of a source done.

    Args:
        source: gives them.
        workers: do them.
        changed: called whenever a work stands otherwise, and every so often between.
    """

    def __init__(self, source: Source, workers: Workers, changed: Callable[[Work | None], None]) -> None:
        self._source = source
        self._workers = workers
        self._changed = changed
        self._again: deque[Work] = deque()
        self._running: list[Work] = []
        self._pruned: list[Work] = []

    def run(self) -> None:
        """Do all; raises Interrupted after SIGINT or SIGTERM, when every training has written its checkpoint."""
        stop = False

        def ask(_: int, __: object) -> None:
            nonlocal stop
            stop = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not stop:
                self._begin()
                if not self._running:
                    break
                time.sleep(LOOK_SECONDS)
                self._look()
                self._changed(None)
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)
        if stop:
            raise Interrupted

    def _begin(self) -> None:
        while self._workers.are_free:
            work = self._again.popleft() if self._again else self._source.next()
            if work is None:
                return
            self._workers.begin(work)
            self._running.append(work)
            self._stand(work, "training")

    def _look(self) -> None:
        """Take note of the trainings that have ended, and prune."""
        for work, code in self._workers.ended():
            self._running.remove(work)
            if code == 0:
                self._end(work, "done")
            elif work in self._pruned:
                self._end(work, "pruned")
            elif code < 0 and work.killed < AGAIN:
                work.killed += 1
                self._again.append(work)
                self._stand(work, "waiting")
            else:
                work.complaint = work.last_said() or f"ended with {code}"
                self._end(work, "failed")
        for work in self._running:
            if work not in self._pruned and self._source.is_unpromising(work):
                self._pruned.append(work)
                self._workers.interrupt(work)

    def _stop(self) -> None:
        for work in self._running:
            self._workers.interrupt(work)
        while self._running:
            for work, code in self._workers.ended():
                self._running.remove(work)
                if code == 0:
                    self._end(work, "done")
                else:
                    self._stand(work, "waiting")
            time.sleep(LOOK_SECONDS if self._running else 0)

    def _end(self, work: Work, standing: Standing) -> None:
        self._stand(work, standing)
        self._source.ended(work)

    def _stand(self, work: Work, standing: Standing) -> None:
        work.standing = standing
        self._changed(work)
