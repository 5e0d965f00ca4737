"""Chooses which chunks run together: plain data in, plain data out, no clock, no tasks."""

from collections import Counter, deque
from collections.abc import Iterable
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
        self._starts: dict[SessionKey, ModelKey] = {}
        self._cancelled: set[Chunk] = set()
        self._waiting: Counter[str] = Counter()

    def add(self, chunk: Chunk) -> None:
        """Queue a chunk behind the earlier ones of its sequence."""
        self._waiting[chunk.model.name] += 1
        if chunk.key is not None and chunk.start:
            self._starts[chunk.key] = chunk.model
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
                self._starts.pop(chunk.key, None)

    def holds(self, key: SessionKey) -> bool:
        """Whether a chunk of the sequence waits or is in flight."""
        return key in self._lines

    def starting(self, key: SessionKey) -> ModelKey | None:
        """The version of the last start of the sequence among the chunks that it has had without a pause."""
        return self._starts.get(key)

    def waiting(self, model: str) -> int:
        """How many chunks of the model wait."""
        return self._waiting[model]

    def __len__(self) -> int:
        return self._waiting.total()

    def _make_ready(self, chunk: Chunk) -> None:
        lane = (chunk.model, chunk.time.bit_length())
        self._lanes.setdefault(lane, deque()).append(chunk)

    def _take(self, lane: Lane, now: float, schedule: Schedule) -> None:
        """Fill the batch from one lane; chunks that are no longer wanted leave, and their sequences go on."""
        room = self._max_batch
        while ready := self._lanes.get(lane):
            chunk = ready[0]
            cancelled, overdue = chunk in self._cancelled, chunk.deadline < now
            if schedule.chunks and chunk.rows > room and not (cancelled or overdue):
                return
            self._pop(lane)
            if cancelled or overdue:
                schedule.overdue.extend([] if cancelled else [chunk])
                self.finish([chunk])
            else:
                schedule.chunks.append(chunk)
                room -= chunk.rows

    def _pop(self, lane: Lane) -> None:
        chunk = self._lanes[lane].popleft()
        self._waiting[chunk.model.name] -= 1
        if not self._lanes[lane]:
            del self._lanes[lane]
