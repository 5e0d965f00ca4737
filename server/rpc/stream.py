"""One client's stream: requests read one after another, answers written as they are ready."""

import asyncio
from collections import deque
from functools import partial
from typing import final

import grpc

from server.errors import RecurError
from server.pb import grpc_service_pb2 as pb
from server.rpc.inbox import Fill, Inbox
from server.rpc.status import parse, stream_error
from server.types import Chunk

# A client that sends without reading its answers is read no further than this.
OPEN_REQUESTS = 1024

Context = grpc.aio.ServicerContext[bytes, bytes]


@final
class Stream:
    """A reader and a writer over one call, so that a request never waits for another's answer."""

    def __init__(self, inbox: Inbox, context: Context) -> None:
        self._inbox = inbox
        self._context = context
        self._outbox: deque[bytes] = deque()
        self._queued: dict[int, Chunk] = {}
        self._unanswered = 0
        self._loop = asyncio.get_running_loop()
        self._ready = self._loop.create_future()
        self._written = asyncio.Event()

    async def serve(self, draining: asyncio.Event) -> None:
        """Serve until the client ends the stream or the server drains, and all requests are answered."""
        tasks = [asyncio.create_task(work) for work in (self._read(), self._write(), draining.wait())]
        reader, writer, _ = tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            reader.cancel()
            while self._unanswered and not writer.done():
                await self._progress()
        finally:
            for chunk in self._queued.values():
                self._inbox.cancel(chunk)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        serial = 0
        while isinstance(data := await self._context.read(), bytes):  # the end of the stream is not bytes
            serial += 1
            self._take(serial, data)
            while self._unanswered >= OPEN_REQUESTS:
                await self._progress()

    def _take(self, serial: int, data: bytes) -> None:
        self._unanswered += 1
        try:
            request = parse(pb.ModelInferRequest, data)
        except RecurError as error:
            self._reply(serial, "", error)
            return
        chunk = self._inbox.take(request, partial(self._reply, serial, request.id))
        if chunk is not None:
            self._queued[serial] = chunk

    def _reply(self, serial: int, request_id: str, result: Fill | RecurError) -> None:
        self._queued.pop(serial, None)
        if isinstance(result, RecurError):
            message = stream_error(result, request_id)
        else:
            message = pb.ModelStreamInferResponse()
            result(message.infer_response)
        self._outbox.append(message.SerializeToString())
        if not self._ready.done():
            self._ready.set_result(None)

    async def _write(self) -> None:
        while True:
            await self._ready
            while self._outbox:
                await self._context.write(self._outbox.popleft())
                self._unanswered -= 1
            self._written.set()
            # A future is half the price of an event, and this one is waited for once a message.
            self._ready = self._loop.create_future()

    async def _progress(self) -> None:
        """Wait until answers were written."""
        self._written.clear()
        await self._written.wait()
