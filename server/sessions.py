"""The sequences that clients keep here: begun, continued, ended, and ended for them when idle."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from server.catalogue import Catalogue, ServedModel
from server.engine import Engine
from server.errors import SequenceGone, VersionMismatch
from server.metrics import Metrics
from server.types import Chunk, ModelKey, SessionKey, Turn, Turns

REMEMBERED = 10_000


@dataclass(slots=True)
class Session:
    """The record of a live sequence."""

    model: ModelKey
    slot: int
    position: int
    used: float


@final
class Sessions(Turns):
    """Every live sequence, the longest unused first.

    What a request means is decided when its turn comes, not when it arrives: then all earlier requests of its
    sequence have been committed or refused.

    Args:
        idle_seconds: a sequence without a request for so long is ended; monotonic clock.
    """

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        metrics: Metrics,
        *,
        idle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._metrics = metrics
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._live: OrderedDict[SessionKey, Session] = OrderedDict()
        self._gone: OrderedDict[SessionKey, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._live)

    def route(self, name: str, version: str, key: SessionKey | None, *, start: bool) -> ServedModel:
        """Find the version for a request: its own, its sequence's, or the newest."""
        own = None if key is None or version or start else self._own_version(key)
        return self._catalogue.find(name, version) if own is None else self._catalogue[own]

    def submit(self, chunk: Chunk) -> None:
        """Queue a chunk behind the earlier ones of its sequence."""
        self._engine.submit(chunk)

    def cancel(self, chunk: Chunk) -> None:
        """Drop a chunk that nobody waits for, if it has not begun."""
        self._engine.cancel(chunk)

    @override
    def begin(self, chunk: Chunk) -> Turn:
        if chunk.key is None:
            return Turn(chunk, self._catalogue[chunk.model].store.allocate(chunk.rows), fresh=True)
        session = self._live.get(chunk.key)
        if session is not None and session.model == chunk.model:
            return Turn(chunk, (session.slot,), fresh=chunk.start)
        if not chunk.start:
            raise self._refusal(chunk, chunk.key, session)
        return Turn(chunk, self._catalogue[chunk.model].store.allocate(1), fresh=True)

    @override
    def commit(self, turn: Turn) -> int:
        chunk = turn.chunk
        if chunk.key is None:
            self._release(turn)
            return chunk.time
        session = self._live.get(chunk.key)
        if session is None or session.slot != turn.slots[0] or session.model != chunk.model:
            session = self._replace(chunk.key, session, Session(chunk.model, turn.slots[0], 0, 0.0))
        session.position = chunk.lengths[0] + (0 if turn.fresh else session.position)
        session.used = self._clock()
        self._live.move_to_end(chunk.key)
        if chunk.end:
            self._forget(chunk.key, "has ended")
        return session.position

    @override
    def abort(self, turn: Turn) -> None:
        session = None if turn.chunk.key is None else self._live.get(turn.chunk.key)
        if session is None or session.slot != turn.slots[0] or session.model != turn.chunk.model:
            self._release(turn)

    async def reap(self) -> None:
        """End idle sequences until cancelled, each at most a tenth of the idle time late."""
        while True:
            await asyncio.sleep(min(1.0, self._idle_seconds / 10))
            self.expire()

    def expire(self) -> int:
        """End the sequences that were idle too long; returns how many."""
        now, count = self._clock(), 0
        while self._live:
            key, session = next(iter(self._live.items()))
            if session.used + self._idle_seconds > now:
                break
            if self._engine.holds(key):
                session.used = now
                self._live.move_to_end(key)
                continue
            self._metrics.expired(session.model)
            self._forget(key, f"expired after {self._idle_seconds:g} s without a request")
            count += 1
        return count

    def _own_version(self, key: SessionKey) -> ModelKey | None:
        """The version that the sequence will be on when the requests before this one are done."""
        session = self._live.get(key)
        return self._engine.starting(key) or (session.model if session is not None else None)

    def _replace(self, key: SessionKey, old: Session | None, new: Session) -> Session:
        """Let a sequence begin anew, on another version perhaps."""
        if old is not None:
            self._catalogue[old.model].store.release([old.slot])
        self._live[key] = new
        self._gone.pop(key, None)
        return new

    def _forget(self, key: SessionKey, how: str) -> None:
        session = self._live.pop(key)
        self._catalogue[session.model].store.release([session.slot])
        self._gone[key] = how
        self._gone.move_to_end(key)
        if len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)

    def _release(self, turn: Turn) -> None:
        self._catalogue[turn.chunk.model].store.release(turn.slots)

    def _refusal(self, chunk: Chunk, key: SessionKey, session: Session | None) -> SequenceGone | VersionMismatch:
        named = f"sequence {key.sequence_id!r} of model '{key.model}'"
        if session is not None:
            return VersionMismatch(
                f"{named} runs on version {session.model.version}, the request is for version {chunk.model.version}; "
                "leave the version out"
            )
        how = self._gone.get(key, "is unknown here: never begun, or gone for long")
        return SequenceGone(f"{named} {how}; begin it with sequence_start")
