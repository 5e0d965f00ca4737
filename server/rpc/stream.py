"""One client's stream: requests read one after another, answers written as they are ready."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable, MutableMapping, Sequence
from functools import partial
from typing import final
from weakref import WeakValueDictionary

import grpc

from server.codec.answers import encode_stream_answer
from server.codec.request import id_of
from server.errors import Internal, RecurError
from server.rpc.cohort import Cohort
from server.rpc.inbox import Inbox
from server.rpc.status import notice, stream_error
from server.types import Chunk, Event, Scope, SequenceId, Watch

logger = logging.getLogger(__name__)

# A client that sends without reading its answers is read no further than this.
OPEN_REQUESTS = 1024
# While the queue is half full no stream has more of its requests wait there: the rest of it is for others.
QUEUED = 64
# And of generations that it has asked for no more is generated than this.
UNREAD = 64

FAILED = Internal("the request failed; the server's log has the cause")

Context = grpc.aio.ServicerContext[bytes, bytes]


@final
class Stream:
    """A reader and a writer over one call, so that a request never waits for another's answer."""

    def __init__(self, inbox: Inbox, context: Context) -> None:
        self._inbox = inbox
        self._context = context
        self._outbox: deque[bytes | Callable[[], bytes]] = deque()
        self._queued: dict[int, Sequence[Chunk]] = {}
        self._watch = Watch(self._notify)
        self._unanswered = 0
        self._held: list[Callable[[], None]] = []
        self.cohorts: MutableMapping[Hashable, Cohort] = WeakValueDictionary()
        self._behind = False
        self.open = self._reads = True
        self._loop = asyncio.get_running_loop()
        self._ready = self._loop.create_future()
        self._written: asyncio.Future[None] | None = None

    async def serve(self, draining: asyncio.Event) -> None:
        """Serve until the client ends the stream or the server drains, and all requests are answered."""
        reader, writer, drained = (asyncio.create_task(work) for work in (self._read(), self._write(), draining.wait()))
        # It ends with the call; nobody asks how.
        reader.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await asyncio.wait((reader, writer, drained), return_when=asyncio.FIRST_COMPLETED)
            if draining.is_set() and self._watch.wants(said=False):
                self._tell(notice("drained"))
            self._reads = False
            while self._unanswered and not writer.done():
                await self._progress()
        finally:
            self.open = self._reads = False
            self._inbox.leave(self._watch)
            for chunks in self._queued.values():
                self._inbox.cancel(chunks)
            drained.cancel()
            self._wake()
            await asyncio.gather(writer, drained, return_exceptions=True)
            # They know this stream: together they would keep the call's memory until cycles are collected.
            self._queued.clear()
            del self._watch

    def send(self, answer: Callable[[], bytes]) -> None:
        """Send an answer that is not its request's last, which is written when its turn comes."""
        self._tell(answer)

    def waits(self, *, full: bool) -> bool:
        """Whether all generations are to wait until the client has read; they go on together, in full batches.

        Args:
            full: whether an answer has no room for another step.
        """
        self._behind = self._behind or (full and len(self._outbox) >= UNREAD)
        return self._behind

    def hold(self, resume: Callable[[], None]) -> None:
        """Call back when the client has read what was sent."""
        self._held.append(resume)

    async def _read(self) -> None:
        serial = 0
        # The end of the stream is not bytes.
        while isinstance(data := await self._context.read(), bytes) and self._reads:
            serial += 1
            self._take(serial, data)
            while self._reads and (self._unanswered >= OPEN_REQUESTS or self._crowds()):
                await self._progress()

    def _crowds(self) -> bool:
        """Whether the client has its share of a queue that others need too."""
        return len(self._queued) >= QUEUED and self._inbox.crowded(next(reversed(self._queued.values())))

    def _take(self, serial: int, data: bytes) -> None:
        self._unanswered += 1
        try:
            chunks = self._inbox.take(
                data, partial(self._reply, serial), client=id(self), watch=self._watch, answers=self
            )
        except Exception:
            logger.exception("request failed")
            self._reply(serial, id_of(data), FAILED)
            return
        if chunks:
            self._queued[serial] = chunks

    def _reply(self, serial: int, request_id: str, result: bytes | RecurError) -> None:
        self._queued.pop(serial, None)
        if isinstance(result, RecurError):
            self._send(stream_error(result, request_id).SerializeToString())
        else:
            self._send(encode_stream_answer(result))

    def _notify(self, scope: Scope, sequence: SequenceId, event: Event) -> None:
        self._tell(notice(event, scope.model, sequence))

    def _tell(self, message: bytes | Callable[[], bytes]) -> None:
        self._unanswered += 1
        self._send(message)

    def _send(self, message: bytes | Callable[[], bytes]) -> None:
        self._outbox.append(message)
        if not self._ready.done():
            self._ready.set_result(None)

    async def _write(self) -> None:
        while self.open:
            await self._ready
            while self._outbox and self.open:
                message = self._outbox.popleft()
                await self._context.write(message if isinstance(message, bytes) else encode_stream_answer(message()))
                self._unanswered -= 1
            held, self._held, self._behind = self._held, [], False
            for resume in held:
                resume()
            if self._written is not None and not self._written.done():
                self._written.set_result(None)
            # A future is half the price of an event, and this one is waited for once a message.
            self._ready = self._loop.create_future()

    async def _progress(self) -> None:
        """Wait until answers were written, or the stream has ended."""
        if self._written is None or self._written.done():
            self._written = self._loop.create_future()
        await self._written

    def _wake(self) -> None:
        """Let reader and writer see that the stream has ended; cancelled amid a call of gRPC's they would leak it."""
        for waited in (self._ready, self._written):
            if waited is not None and not waited.done():
                waited.set_result(None)
