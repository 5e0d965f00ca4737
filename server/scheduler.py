"""Chooses which chunks run together: plain data in, plain data out, no clock, no tasks."""

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from itertools import count
from typing import final

import numpy as np

from server.errors import QueueFull
from server.limits import Limits
from server.types import Chunk, ModelKey, Part, Scope, SequenceId

# A chunk without a deadline is due so long after its turn; each level of priority adds as much.
PATIENCE_SECONDS = 0.1
# What a step counts for in its client's turns: about what it costs.
STEP_SECONDS = 50e-6
# Turns of clients that have had none for a while are forgotten when there are more.
CLIENTS = 1024


@dataclass(slots=True)
class Line:
    """The chunks of one sequence that wait for the one before.

    Attributes:
        begun: the version of the last start that waits no more in the line.
        starting: that of the last start of all.
    """

    chunks: deque[Chunk] = field(default_factory=deque)
    begun: ModelKey | None = None
    starting: ModelKey | None = None

    def forget(self, start: Chunk) -> None:
        """Let a start leave that will not run."""
        if start not in self.chunks:
            self.begun = None
        waiting = (chunk.model for chunk in reversed(self.chunks) if chunk.starts and chunk.waits)
        self.starting = next(waiting, self.begun)


@dataclass(slots=True)
class Lines:
    """The sequences of a scope.

    Attributes:
        busy: those of which a chunk is ready or in flight.
        waiting: the lines of those that have one: more chunks, or a start.
    """

    busy: set[SequenceId] = field(default_factory=set)
    waiting: dict[SequenceId, Line] = field(default_factory=dict)


@dataclass(slots=True)
class Schedule:
    """What to run now, what waited too long, and when to ask again if nothing else comes."""

    chunks: list[Chunk] = field(default_factory=list)
    overdue: list[Chunk] = field(default_factory=list)
    again: float = math.inf


# A lane holds chunks that may run together, the one due first at its top; they are padded to the longest of them.
LaneKey = tuple[Part, int, tuple[int, ...]]
Lane = list[tuple[float, int, Chunk]]
NOBODY: Set[SequenceId] = frozenset()


@final
class Scheduler:
    """The chunk due first goes first, with those that may run beside it; one chunk of a sequence at a time, in order.

    A chunk is due at its deadline, or `PATIENCE_SECONDS` after its client's turn, whichever is first: a client that
    asks much has its later turns further off. Models take turns by the seconds that they have used.

    Args:
        limits: those of a model, by its name.
        max_queue: requests that may wait, of all models; 0 for any number.

    Attributes:
        limits: those of a model, by its name.
    """

    def __init__(self, limits: Callable[[str], Limits], *, max_queue: int = 0) -> None:
        self.limits = limits
        self._max_queue = max_queue
        self._lines: dict[Scope, Lines] = {}
        self._lanes: dict[ModelKey, dict[LaneKey, Lane]] = {}
        self._used: dict[ModelKey, float] = {}
        self._turns: dict[int, float] = {}
        self._waiting: Counter[str] = Counter()
        self._placed: Counter[str] = Counter()
        self._placed_in_all = 0
        self._held: dict[tuple[Scope, SequenceId], Chunk] = {}
        self._serial = count()

    def add(self, chunk: Chunk) -> None:
        """Queue a chunk, each row behind the earlier chunks of its sequence; raises QueueFull."""
        self._check_room(chunk)
        chunk.due = self._due(chunk)
        lines = self._lines.get(chunk.scope) or self._lines.setdefault(chunk.scope, Lines())
        if lines.busy.isdisjoint(chunk.ids):
            self._open_lines(lines, chunk)
            self._make_ready(chunk)
        elif chunk.rows == 1:
            self._line_up(lines, chunk)
        else:
            self._divide(lines, chunk)

    def cancel(self, chunk: Chunk) -> list[Chunk]:
        """Let a chunk leave the queue; returns what of it waited, for what is in flight is finished."""
        left = [cut for cut in chunk.cuts or [chunk] if cut.waits]
        for cut in left:
            ready = cut.waits != "line"
            self._let_go(cut)
            cut.waits = None
            self._count(cut, -1)
            if cut.starts:
                self._forget_starts(cut)
            if ready:
                self._close_lines(cut)
        return left

    def schedule(self, now: float) -> Schedule:
        """Take the next batch: chunks of one lane, within the model's limits."""
        schedule, overdue = Schedule(), -1
        # What was behind an overdue chunk may be of a version that had nothing ready before.
        while not schedule.chunks and len(schedule.overdue) > overdue:
            overdue = len(schedule.overdue)
            for model in sorted(self._lanes, key=self._used.__getitem__):
                while not schedule.chunks and (lane := self._first(model, now, schedule)):
                    self._take(model, lane, now, schedule)
                if schedule.chunks:
                    break
        return schedule

    def finish(self, chunks: Sequence[Chunk], seconds: float = 0.0, followers: Iterable[Chunk] = ()) -> None:
        """Make the next chunk of each sequence ready; a follower takes its turn in place of one that waits.

        Args:
            chunks: what was scheduled together.
            seconds: how long the runtime took.
            followers: chunks that go on with sequences of theirs.
        """
        if chunks:
            self._used[chunks[0].model] += seconds
        going: dict[Scope, set[SequenceId]] = {}
        for follower in followers:
            going.setdefault(follower.scope, set()).update(follower.ids)
            follower.due = self._due(follower)
            if follower.held:
                self._hold(follower)
            else:
                self._make_ready(follower)
        for chunk in chunks:
            self._close_lines(chunk, going.get(chunk.scope, NOBODY))

    def resume(self, chunk: Chunk) -> None:
        """Make a chunk ready that was held, if it is still wanted."""
        if chunk.waits == "hold":
            self._let_go(chunk)
            self._count(chunk, -1)
            self._make_ready(chunk)

    def drop(self, scope: Scope, sequence: SequenceId) -> Chunk | None:
        """Give up the row of a sequence that waits until its client has read; gives it as a chunk, None for none."""
        held = self._held.get((scope, sequence))
        if held is None:
            return None
        if held.rows == 1:
            self.cancel(held)
            return held
        del self._held[scope, sequence]
        dropped = held.take_out(np.array([held.ids.index(sequence)]))
        self._count(dropped, -1)
        self._close_lines(dropped)
        return dropped

    def holds(self, scope: Scope, sequence: SequenceId) -> bool:
        """Whether a chunk of the sequence waits or is in flight."""
        return scope in self._lines and sequence in self._lines[scope].busy

    def starting(self, scope: Scope, sequence: SequenceId) -> ModelKey | None:
        """The version of the last start of the sequence among the chunks that it has had without a pause."""
        line = self._lines[scope].waiting.get(sequence) if scope in self._lines else None
        return None if line is None else line.starting

    def waiting(self, model: str) -> int:
        """How many requests for the model wait, or pieces of them."""
        return self._waiting[model]

    def crowded(self, model: str) -> bool:
        """Whether half of the places in the queue are taken: those of the model, or of all."""
        all_taken = 0 < self._max_queue <= 2 * self._placed_in_all
        return all_taken or 2 * self._placed[model] >= self.limits(model).max_queue

    def needs(self, model: ModelKey) -> bool:
        """Whether a chunk of the version waits."""
        ready = (entry[2] for lane in self._lanes.get(model, {}).values() for entry in lane)
        lined = (chunk for lines in self._lines.values() for line in lines.waiting.values() for chunk in line.chunks)
        waiting = (ready, lined, self._held.values())
        return any(chunk.waits and chunk.model == model for some in waiting for chunk in some)

    def oldest(self, model: str) -> float | None:
        """When the first to arrive of the model's chunks in lanes did; None where there is none. From any thread."""
        lanes = [lane for key, lanes in list(self._lanes.items()) if key.name == model for lane in list(lanes.values())]
        return min((entry[2].arrived for lane in lanes for entry in list(lane) if entry[2].waits), default=None)

    def __len__(self) -> int:
        return self._waiting.total()

    def _check_room(self, chunk: Chunk) -> None:
        name = chunk.model.name
        limits = self.limits(name)
        waiting = self._placed[name]
        if waiting >= limits.max_queue or 0 < self._max_queue <= self._placed_in_all:
            raise QueueFull(f"{waiting} requests for model '{name}' wait already; try again later")
        if limits.max_queue_seconds and (oldest := self.oldest(name)) is not None:
            age = chunk.arrived - oldest
            if age > limits.max_queue_seconds:
                raise QueueFull(f"requests for model '{name}' have waited {age:.3g} s already; try again later")

    def _due(self, chunk: Chunk) -> float:
        client, arrived = chunk.client, chunk.arrived
        turn = max(arrived, self._turns.get(client, 0.0))
        if client not in self._turns and len(self._turns) >= CLIENTS:
            self._turns = {client: turn for client, turn in self._turns.items() if turn > arrived}
        self._turns[client] = turn + STEP_SECONDS * len(chunk.lengths) * chunk.time
        return turn + min(chunk.deadline - arrived, PATIENCE_SECONDS) + chunk.priority * PATIENCE_SECONDS

    def _divide(self, lines: Lines, chunk: Chunk) -> None:
        """Let the rows of idle sequences run together, each of the others when its sequence is free."""
        busy = np.array([sequence in lines.busy for sequence in chunk.ids])
        if not busy.all():
            free = chunk.cut_out(np.flatnonzero(~busy))
            chunk.cuts.append(free)
            self._open_lines(lines, free)
            self._make_ready(free)
        for row in np.flatnonzero(busy):
            single = chunk.cut_out(np.array([row]))
            chunk.cuts.append(single)
            self._line_up(lines, single)

    def _open_lines(self, lines: Lines, chunk: Chunk) -> None:
        lines.busy.update(chunk.ids)
        if chunk.starts:
            for sequence, start in zip(chunk.ids, chunk.start.tolist(), strict=False):
                if start:
                    lines.waiting[sequence] = Line(begun=chunk.model, starting=chunk.model)

    def _forget_starts(self, chunk: Chunk) -> None:
        waiting = self._lines[chunk.scope].waiting
        for sequence in chunk.ids:
            if line := waiting.get(sequence):
                line.forget(chunk)

    def _line_up(self, lines: Lines, chunk: Chunk) -> None:
        line = lines.waiting.setdefault(chunk.ids[0], Line())
        if chunk.starts:
            line.starting = chunk.model
        line.chunks.append(chunk)
        chunk.waits = "line"
        self._count(chunk, 1)

    def _close_lines(self, chunk: Chunk, going: Set[SequenceId] = NOBODY) -> None:
        """Let the sequences of a chunk be idle, or begin what they have next, but for those that are going on."""
        lines = self._lines[chunk.scope]
        left = [sequence for sequence in chunk.ids if sequence not in going] if going else chunk.ids
        if not lines.waiting or lines.waiting.keys().isdisjoint(left):
            lines.busy.difference_update(left)
            return
        for sequence in left:
            line = lines.waiting.get(sequence)
            if line is None or not self._advance(line):
                lines.busy.discard(sequence)
                lines.waiting.pop(sequence, None)

    def _advance(self, line: Line) -> bool:
        """Make the next chunk of a line ready; false where none is left."""
        while line.chunks:
            following = line.chunks.popleft()
            if following.waits:
                if following.starts:
                    line.begun = following.model
                self._count(following, -1)
                self._make_ready(following)
                return True
        return False

    def _count(self, chunk: Chunk, change: int) -> None:
        """Count a chunk that begins to wait or waits no more."""
        name = chunk.model.name
        # Each row of a cohort is a request of its own.
        self._waiting[name] += change if chunk.cohort is None else change * chunk.rows
        # Later steps of requests that were let in before take nobody's place.
        if chunk.before is None:
            self._placed[name] += change
            self._placed_in_all += change

    def _hold(self, chunk: Chunk) -> None:
        chunk.waits = "hold"
        for sequence in chunk.ids:
            self._held[chunk.scope, sequence] = chunk
        self._count(chunk, 1)

    def _let_go(self, chunk: Chunk) -> None:
        if chunk.waits == "hold":
            for sequence in chunk.ids:
                del self._held[chunk.scope, sequence]

    def _make_ready(self, chunk: Chunk) -> None:
        model = chunk.model
        lanes = self._lanes.get(model)
        if lanes is None:
            # A model that was idle gets no credit for it.
            least = min((self._used[active] for active in self._lanes), default=0.0)
            self._used[model] = max(self._used.get(model, 0.0), least)
            lanes = self._lanes[model] = {}
        chunk.waits = "lane"
        self._count(chunk, 1)
        kind = (chunk.part, chunk.size, chunk.shape)
        lane = lanes.get(kind) or lanes.setdefault(kind, [])
        heapq.heappush(lane, (chunk.due, next(self._serial), chunk))

    def _first(self, model: ModelKey, now: float, schedule: Schedule) -> LaneKey | None:
        """The lane whose first chunk is due first, of those that are full or have waited to fill."""
        lanes, limits = self._lanes.get(model, {}), self.limits(model.name)
        if limits.queue_delay_seconds:
            ripe = {key: _ripe(lane, limits) for key, lane in lanes.items()}
            schedule.again = min([schedule.again, *(moment for moment in ripe.values() if moment > now)])
            lanes = {key: lane for key, lane in lanes.items() if ripe[key] <= now}
        return min(lanes, key=lambda key: lanes[key][0][:2], default=None)

    def _take(self, model: ModelKey, key: LaneKey, now: float, schedule: Schedule) -> None:
        """Fill the batch from one lane; chunks that are no longer wanted leave, and their sequences go on."""
        lanes, limits = self._lanes[model], self.limits(model.name)
        lane, rows, longest = lanes[key], 0, 1
        while lane:
            chunk = lane[0][2]
            overdue = chunk.deadline < now
            if chunk.waits and not overdue:
                rows, longest = rows + len(chunk.lengths), max(longest, chunk.time)
                if schedule.chunks and (rows > limits.max_batch or rows * longest > limits.max_steps):
                    return
                schedule.chunks.append(chunk)
            heapq.heappop(lane)
            if chunk.waits:
                chunk.waits = None
                self._count(chunk, -1)
                if overdue:
                    schedule.overdue.append(chunk)
                    self._close_lines(chunk)
        del lanes[key]
        if not lanes:
            del self._lanes[model]


def _ripe(lane: Lane, limits: Limits) -> float:
    """When the lane may run though it is not full; at once where it is."""
    waiting = [entry[2] for entry in lane if entry[2].waits]
    if sum(chunk.rows for chunk in waiting) >= limits.max_batch:
        return -math.inf
    return min((chunk.arrived for chunk in waiting), default=-math.inf) + limits.queue_delay_seconds
