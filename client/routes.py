"""Who waits for which answer on one stream, so that many sequences share it."""

import threading
from collections.abc import Callable
from typing import final

from client.errors import ClientError, Unavailable
from client.messages import Event, Notice, Reply

Put = Callable[[Event], None]


@final
class Routes:
    """Hands every answer to the request that it is for; answers to a request given up are dropped."""

    def __init__(self, on_notice: Callable[[Notice], None] | None) -> None:
        self._on_notice = on_notice
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Put, bool]] = {}
        self._ended: ClientError | None = None
        self.heard = 0

    @property
    def ended(self) -> bool:
        """Whether the stream has ended."""
        return self._ended is not None

    def open(self, request_id: str, put: Put, *, many: bool) -> None:
        """Wait for the answers to a request; on a stream that has ended, that is the answer."""
        with self._lock:
            self._waiting[request_id] = (put, many)
            if self._ended is not None:
                put(self._ended)

    def close(self, request_id: str) -> None:
        """Wait no longer."""
        with self._lock:
            self._waiting.pop(request_id, None)

    def deliver(self, request_id: str, event: Event | Notice) -> None:
        """Hand on what came."""
        self.heard += 1
        if isinstance(event, Notice):
            if self._on_notice is not None:
                self._on_notice(event)
            return
        with self._lock:
            put, many = self._waiting.get(request_id, (None, False))
            if not (many and isinstance(event, Reply) and not event.final):
                self._waiting.pop(request_id, None)
        if put is not None:
            put(event)

    def end(self, error: ClientError | None) -> None:
        """Tell all who wait that the stream has ended, and how; the first call counts."""
        with self._lock:
            if self._ended is None:
                self._ended = error or Unavailable("the stream ended before the answer came")
            left, self._waiting = list(self._waiting.values()), {}
        for put, _ in left:
            put(self._ended)
