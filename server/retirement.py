"""Lets versions go: no new sequences, and when the last live one is gone, what they held is freed."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, final

from server.catalogue import Catalogue, State
from server.types import ModelKey

# How often to look whether the last sequence of a version has ended.
LOOK_SECONDS = 1.0
ENDED = "was ended: its model was unloaded"

logger = logging.getLogger(__name__)

Changed = Callable[[ModelKey], Awaitable[None]]


class Live(Protocol):
    """Whoever keeps the sequences."""

    def live(self, key: ModelKey) -> int:
        """Count what still needs a version: its live sequences, and its requests that wait or run."""
        ...

    async def end_all(self, key: ModelKey, how: str) -> None:
        """End all sequences of a version; a later step of one is told how its sequence went.

        Called before a version is unloaded too, when none is left: nothing of the version may be kept then.
        """
        ...


@final
class Retirement:
    """The versions that retire, and until when each may take.

    Args:
        changed: told of every version that retires, serves again or is gone.
        clock: monotonic seconds.
    """

    def __init__(
        self, catalogue: Catalogue, sequences: Live, *, changed: Changed, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalogue = catalogue
        self._sequences = sequences
        self._changed = changed
        self._clock = clock
        self._deadlines: dict[ModelKey, float] = {}

    async def retire(self, key: ModelKey, reason: str, *, within: float = math.inf) -> None:
        """Let a version take no new sequences; those still live `within` seconds from now are ended then."""
        deadline = self._clock() + within
        if self._catalogue.state(key) is State.RETIRING:
            deadline = min(deadline, self._deadlines[key])
        self._deadlines[key] = deadline
        self._catalogue.retire(key, reason)
        _log("model retires", key, reason=reason, live=self._sequences.live(key))
        await self._changed(key)

    async def revive(self, key: ModelKey) -> None:
        """Let a version that retires serve again."""
        del self._deadlines[key]
        self._catalogue.add(self._catalogue[key])
        _log("model serves again", key)
        await self._changed(key)

    async def follow(self) -> None:
        """Let go of what nobody needs any more, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.sweep()

    async def sweep(self) -> None:
        """Let go of what nobody needs any more, and end what had its time."""
        for key, deadline in list(self._deadlines.items()):
            try:
                await self._look(key, deadline)
            except Exception:  # one version's end must not keep the others
                logger.exception("unloading failed", extra={"model": key.name, "version": key.version})

    async def _look(self, key: ModelKey, deadline: float) -> None:
        if self._sequences.live(key) and deadline <= self._clock():
            await self._sequences.end_all(key, ENDED)
        if self._sequences.live(key) == 0 and self._deadlines.pop(key, None) is not None:
            await self._unload(key)

    async def _unload(self, key: ModelKey) -> None:
        reason = self._catalogue.standings(key.name)[key].reason
        await self._sequences.end_all(key, ENDED)
        held = [self._catalogue.unload(key, reason)]
        _log("model unloaded", key, reason=reason)
        await self._changed(key)
        # The last reference goes in a thread: to free gigabytes takes time that requests would wait for.
        await asyncio.to_thread(held.clear)


def _log(event: str, key: ModelKey, **fields: object) -> None:
    logger.info(event, extra={"model": key.name, "version": key.version, **fields})
