"""Chooses which chunks run together: plain data in, plain data out, no clock, no tasks."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import final

from server.types import Chunk, ModelKey, SessionKey

# Chunks of one lane are padded to the longest of them; its bit length bounds the padding to half.
Lane = tuple[ModelKey, int]


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to run now, and what was waiting too long."""

    chunks: list[Chunk] = field(default_factory=list)
    overdue: list[Chunk] = field(default_factory=list)


@final
class Scheduler:
    """First come, first served over model versions; at most one chunk of a sequence in flight, in its order."""

    def __init__(self, *, max_batch: int) -> None:
        self._max_batch = max_batch
        self._lines: dict[SessionKey, deque[Chunk]] = {}
        self._lanes: dict[Lane, deque[Chunk]] = {}
        self._cancelled: set[Chunk] = set()
        self._waiting: Counter[str] = Counter()

    def add(self, chunk: Chunk) -> None:
        """Queue a chunk behind the earlier ones of its sequence."""
        self._waiting[chunk.model.name] += 1
        if chunk.key is not None and chunk.key in self._lines:
            self._lines[chunk.key].append(chunk)
            return
        if chunk.key is not None:
            self._lines[chunk.key] = deque()
        self._make_ready(chunk)

    def cancel(self, chunk: Chunk) -> None:
        """Let a chunk that still waits leave the queue; one in flight is finished."""
        self._cancelled.add(chunk)

    def schedule(self, now: float) -> Schedule:
        """Take the next batch: one model version, one row or more of each chunk, `max_batch` rows at most."""
        schedule = Schedule()
        while self._lanes and not schedule.chunks:
            lane = min(self._lanes, key=lambda lane: self._lanes[lane][0].arrived)
            self._take(lane, now, schedule)
        return schedule

    def finish(self, chunks: Iterable[Chunk]) -> None:
        """Make the next chunk of each sequence ready."""
        for chunk in chunks:
            self._cancelled.discard(chunk)
            if chunk.key is None:
                continue
            line = self._lines[chunk.key]
            if line:
                self._make_ready(line.popleft())
            else:
                del self._lines[chunk.key]

    def holds(self, key: SessionKey) -> bool:
        """Whether a chunk of the sequence waits or is in flight."""
        return key in self._lines

    def waiting(self, model: str) -> int:
        """How many chunks of the model wait."""
        return self._waiting[model]

    def __len__(self) -> int:
        return self._waiting.total()

    def _make_ready(self, chunk: Chunk) -> None:
        lane = (chunk.model, chunk.time.bit_length())
        self._lanes.setdefault(lane, deque()).append(chunk)

    def _take(self, lane: Lane, now: float, schedule: Schedule) -> None:
        rows = 0
        for chunk in self._pop(lane, now, schedule):
            rows += chunk.rows
            schedule.chunks.append(chunk)
            ready = self._lanes.get(lane)
            if not ready or rows + ready[0].rows > self._max_batch:
                return

    def _pop(self, lane: Lane, now: float, schedule: Schedule) -> Iterator[Chunk]:
        """Yield the chunks that are still wanted; the others leave, and their sequences go on."""
        while ready := self._lanes.get(lane):
            chunk = ready.popleft()
            if not ready:
                del self._lanes[lane]
            self._waiting[chunk.model.name] -= 1
            if chunk in self._cancelled:
                self.finish([chunk])
            elif chunk.deadline < now:
                schedule.overdue.append(chunk)
                self.finish([chunk])
            else:
                yield chunk
