"""The sequences that clients keep here: begun, continued, ended, and ended for them when idle."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from typing_extensions import override

from server.catalogue import Catalogue, ServedModel, State
from server.engine import Engine
from server.errors import QueueTimeout, RecurError, SequenceGone
from server.exactly_once import Ended
from server.judge import Judge
from server.metrics import Metrics
from server.past import Past
from server.room import Room
from server.roster import Rosters
from server.turn import Turn, Turns
from server.types import UNNUMBERED, Arrays, Chunk, ModelKey, Scope, SequenceId, Slots
from server.watch import Watches

ENDED = "has ended"
# How many sequences are ended for their clients before requests have their turn again: some milliseconds' work.
AT_ONCE = 64


@final
class Sessions(Turns):
    """Every live sequence, and what is remembered of others.

    What a request means is decided when its turn comes, not when it arrives: then all earlier requests of its
    sequence have been committed or refused.
    """

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        metrics: Metrics,
        room: Room,
        *,
        admission: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._metrics = metrics
        self._room = room
        self._admission = admission
        self._admits = True
        self._clock = clock
        self.watches = Watches()
        self._rosters = Rosters()
        self._past = Past()
        self._judge = Judge(catalogue, self._rosters, self._past, room, clock=clock)
        self._turn: Turn | None = None

    def __len__(self) -> int:
        return len(self._rosters)

    def live(self, key: ModelKey) -> int:
        """Count what still needs a version: its live sequences, and its requests that wait or run."""
        return self._rosters.count(key) + self._engine.needs(key)

    def route(
        self, name: str, version: str, scope: Scope, sequence: SequenceId | None, *, start: bool, numbered: bool
    ) -> ServedModel:
        """Find the version for a request: the one it names, its sequence's own, or the newest.

        A numbered start may be one that comes again: it too is for the version on which its sequence lives or ended.

        Raises:
            ModelMissing: there is no such version.
            ModelNotReady: it does not serve, or takes nothing new.
        """
        if sequence is None or (start and not numbered):
            return self._catalogue.find(name, version, new=sequence is not None)
        found = self._catalogue.find(name, version, new=False)
        settled = self._rosters.alone(found.key) and not start
        own = None if settled else self._own_version(scope, sequence, start=start)
        if start and own is None:
            return self._catalogue.find(name, version)
        return found if version or own is None else self._catalogue[own]

    def check_open(self, model: ServedModel) -> None:
        """Raise ModelNotReady if a version takes nothing new."""
        self._catalogue.find(model.key.name, str(model.key.version))

    def settled(self, model: ServedModel) -> bool:
        """Whether rows for many sequences are all for this version: no other has any, and it takes new ones."""
        return self._rosters.alone(model.key) and self._catalogue.state(model.key) is State.SERVING

    def routes(
        self, model: ServedModel, chunk: Chunk, rows: Slots, *, named: bool
    ) -> tuple[list[tuple[ServedModel, Slots]], dict[int, RecurError]]:
        """Find the versions for rows of a request for many sequences, and the rows that may not begin.

        Args:
            model: the version for sequences that have none.
            chunk: the request.
            rows: those to find versions for.
            named: whether the request names the version, for all its rows.
        """
        routed: dict[ModelKey, list[int]] = {}
        refused: dict[int, RecurError] = {}
        for row in rows.tolist():
            begins = bool(chunk.start[row])
            own = None
            if not begins or chunk.steps[row] != UNNUMBERED:
                own = self._own_version(chunk.scope, chunk.ids[row], start=begins)
            try:
                if begins and own is None:
                    self.check_open(model)
                routed.setdefault(model.key if named else own or model.key, []).append(row)
            except RecurError as error:
                refused[row] = error
        return [(self._catalogue[key], np.array(found, np.intp)) for key, found in routed.items()], refused

    def submit(self, chunk: Chunk) -> None:
        """Queue a chunk behind the earlier ones of its sequences; raises QueueFull."""
        self._engine.submit(chunk)
        if chunk.starts:
            # A start that waits is looked for on its own version, were another published meanwhile.
            self._rosters.of(chunk.model)

    def cancel(self, chunk: Chunk) -> None:
        """Drop a chunk that nobody waits for, if it has not begun; slots that were lent to it are given back."""
        for dropped in self._engine.cancel(chunk):
            if dropped.lease is not None:
                self.take_back(dropped.model, dropped.lease.slots)

    def resume(self, chunk: Chunk) -> None:
        """Let a chunk go on that was held."""
        self._engine.resume(chunk)

    def crowded(self, model: str) -> bool:
        """Whether half of the places in the queue are taken."""
        return self._engine.crowded(model)

    def lend(self, key: ModelKey, scope: Scope, sequence: SequenceId, count: int) -> tuple[int, list[int]]:
        """Give the slot of a live sequence, and so many others that it may use until they are given back.

        Raises:
            SequenceGone: it lives no more.
            SequencesFull, StateFull: there is no room for them; none is lent.
        """
        model, home = self._catalogue[key], self._rosters.of(key).of(scope).get(sequence)
        if home is None:
            raise SequenceGone(f"sequence {sequence!r} of model '{scope.model}' {ENDED}")
        slots, full = self._room.take(model, count)
        if len(slots) < count:
            model.store.release(slots)
            raise full
        return home, slots

    def undo(self, key: ModelKey, scope: Scope, sequence: SequenceId) -> None:
        """Let a sequence be as if the request that began it had not come."""
        if sequence in self._rosters.of(key).of(scope):
            self._release(key, scope, sequence)
            self._announce()

    def settle(self, key: ModelKey, home: int, source: int, answer: Arrays) -> int:
        """Let a sequence go on from the state of a slot that was lent to it; gives its position.

        Args:
            key: its version.
            home: the sequence's slot.
            source: the slot whose state it takes.
            answer: kept for its last request, were that to come again.
        """
        return self._catalogue[key].store.take_over(home, source, answer)

    def take_back(self, key: ModelKey, slots: Sequence[int]) -> None:
        """Take back slots that were lent."""
        store = self._catalogue[key].store
        store.records.used[slots] = 0.0
        store.release(slots)

    def end(self, model: ModelKey, scope: Scope, sequence: SequenceId) -> None:
        """End a sequence after a request whose last step could not be told before it was done."""
        if sequence in self._rosters.of(model).of(scope):
            self._end(model, scope, sequence, ENDED)
            self.watches.leave(scope, sequence)
            self._announce()

    @override
    def begin(self, chunks: Sequence[Chunk]) -> Turn:
        self._turn = self._judge.begin(chunks)
        return self._turn

    @override
    def commit(self, turn: Turn) -> None:
        self._turn = None
        model, now = self._catalogue[turn.model], self._clock()
        self._follow(turn)
        if turn.plain and not turn.errors:
            model.store.records.used[turn.slots] = now
            return
        for row in turn.created:
            if row in turn.errors:
                model.store.release([turn.slots.item(row)])
            else:
                self._enter(turn, row)
        kept = turn.slots >= 0
        kept[list(turn.errors)] = False
        model.store.records.used[turn.slots[kept]] = now
        ending = turn.end & kept
        for row in np.flatnonzero(ending).tolist():
            self._end(turn.model, *turn.owner(row), ENDED)
            self.watches.leave(*turn.owner(row))
        if turn.created or ending.any():
            self._announce()

    async def reap(self) -> None:
        """End idle sequences and give memory back until cancelled; each at most a second late."""
        while True:
            await asyncio.sleep(1.0)
            await self.expire()

    async def expire(self) -> int:
        """End the sequences that were idle too long, requests having their turn meanwhile; returns how many."""
        now, count = self._clock(), 0
        records = {key: self._catalogue[key].store.records for key, _ in self._rosters.items()}
        idle = {key: record.idle_since(now - self._idle_seconds(key)) for key, record in records.items()}
        for key, slots in idle.items():
            for first in range(0, max(1, len(slots)), AT_ONCE):
                if key in self._rosters:
                    count += self._expire(key, slots[first : first + AT_ONCE], now)
                await asyncio.sleep(0)
        return count

    def _expire(self, key: ModelKey, slots: Slots, now: float) -> int:
        """End those of some sequences that are idle still."""
        seconds, store, roster, count = self._idle_seconds(key), self._catalogue[key].store, self._rosters.of(key), 0
        unread = QueueTimeout(f"the answers were not read for {seconds:g} s")
        for slot in store.records.idle_since(now - seconds, among=slots).tolist():
            if not roster.lives(slot):
                continue
            scope, sequence = roster.who(slot)
            self._engine.abandon(scope, sequence, unread)
            if self._engine.holds(scope, sequence):
                store.records.used[slot] = now
                continue
            self._end(key, scope, sequence, f"expired after {seconds:g} s without a request")
            self.watches.tell(scope, sequence, "expired")
            count += 1
        self._metrics.expired(key, count)
        store.trim()
        self._announce()
        return count

    def _idle_seconds(self, key: ModelKey) -> float:
        return self._room.limits(key.name).idle_seconds

    async def end_all(self, key: ModelKey, how: str) -> None:
        """End every sequence of a version that is about to go, requests having their turn meanwhile."""
        roster = self._rosters.of(key)
        everyone = roster.everyone()
        for first in range(0, len(everyone), AT_ONCE):
            self._end_some(key, everyone[first : first + AT_ONCE], how)
            await asyncio.sleep(0)
        if not len(roster):
            self._rosters.drop(key)
        self._announce()

    def _end_some(self, key: ModelKey, sequences: Sequence[tuple[Scope, SequenceId]], how: str) -> None:
        roster, in_flight = self._rosters.of(key), self._in_flight(key)
        for scope, sequence in sequences:
            if sequence not in roster.of(scope):
                continue
            gone = SequenceGone(f"sequence {sequence!r} of model '{scope.model}' {how}")
            self._engine.abandon(scope, sequence, gone)
            if (row := in_flight.get((scope, sequence))) is not None and self._turn is not None:
                self._turn.fail(row, gone)
            self._end(key, scope, sequence, how)
            self.watches.tell(scope, sequence, "model_gone")

    def _in_flight(self, key: ModelKey) -> dict[tuple[Scope, SequenceId], int]:
        """The rows in flight of a version's live sequences."""
        turn = self._turn
        if turn is None or turn.model != key:
            return {}
        return {turn.owner(row): row for row in np.flatnonzero(turn.slots >= 0).tolist() if row not in turn.created}

    def _follow(self, turn: Turn) -> None:
        """Let each sequence's events be told to the stream of its last step that was not refused."""
        if not self.watches and not any(chunk.watch for chunk in turn.chunks):
            return
        for chunk, first, _ in turn.chunk_rows():
            done = [sequence for row, sequence in enumerate(chunk.ids, first) if row not in turn.errors]
            self.watches.follow(chunk.watch, chunk.scope, done)

    def _announce(self) -> None:
        """Tell when new sequences begin to be refused, and when they are admitted again."""
        admits = self._room.admits()
        if admits != self._admits:
            self._admits = admits
            self._admission(admits)

    def _own_version(self, scope: Scope, sequence: SequenceId, *, start: bool) -> ModelKey | None:
        """The version that the sequence will be on when the requests before this one are done, or ended on."""
        if own := self._engine.starting(scope, sequence) or self._rosters.version(scope, sequence):
            return own
        ended = self._past.version(scope, sequence, self._clock(), start=start)
        return ended if ended and ended in self._rosters else None

    def _enter(self, turn: Turn, row: int) -> None:
        """Let a created sequence live; one that lived on another version begins anew on this."""
        scope, sequence = turn.owner(row)
        if (old := self._rosters.version(scope, sequence)) is not None:
            self._release(old, scope, sequence)
        self._rosters.of(turn.model).enter(scope, sequence, turn.slots.item(row))
        self._past.forget(scope, sequence)

    def _end(self, key: ModelKey, scope: Scope, sequence: SequenceId, how: str) -> None:
        """Let a sequence go; what it was answered last is remembered if its steps were counted."""
        store, slot, now = self._catalogue[key].store, self._rosters.of(key).of(scope)[sequence], self._clock()
        ended = Ended(how, now, key)
        if (record := store.records[slot]).length != UNNUMBERED:
            until = now + self._room.limits(key.name).ended_retention_seconds
            ended = Ended(how, until, key, record, store.recall(slot))
        self._past.add(scope, sequence, ended)
        self._release(key, scope, sequence)

    def _release(self, key: ModelKey, scope: Scope, sequence: SequenceId) -> None:
        store, slot = self._catalogue[key].store, self._rosters.of(key).leave(scope, sequence)
        store.records.used[slot] = 0.0
        store.release([slot])
