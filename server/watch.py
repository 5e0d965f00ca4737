"""Streams that asked to be told what befalls their sequences unasked."""

import logging
from collections.abc import Iterable
from typing import final

from server.types import Event, Scope, SequenceId, Watch

logger = logging.getLogger(__name__)


@final
class Watches:
    """Which stream is to be told of which sequence: the last that asked for a step of it."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[Scope, SequenceId], Watch] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def follow(self, watch: Watch | None, scope: Scope, sequences: Iterable[SequenceId]) -> None:
        """Let a stream follow sequences, or nobody; a stream that followed them before is told that it was fenced."""
        for sequence in sequences:
            before = self._by_key.get((scope, sequence))
            if before is watch:
                continue
            self.tell(scope, sequence, "fenced")
            if watch is not None:
                self._by_key[scope, sequence] = watch
                watch.keys.add((scope, sequence))

    def tell(self, scope: Scope, sequence: SequenceId, event: Event) -> None:
        """Tell whoever follows a sequence what befell it, once."""
        if (watch := self.leave(scope, sequence)) is None:
            return
        try:
            watch.notify(scope, sequence, event)
        except Exception:  # who ends a sequence is not to fail for a stream that cannot be told
            logger.exception("notice failed")

    def leave(self, scope: Scope, sequence: SequenceId) -> Watch | None:
        """Let nobody follow a sequence; returns who did."""
        watch = self._by_key.pop((scope, sequence), None)
        if watch is not None:
            watch.keys.discard((scope, sequence))
        return watch

    def close(self, watch: Watch) -> None:
        """Forget a stream that has ended."""
        for key in watch.keys:
            del self._by_key[key]
        watch.keys.clear()
