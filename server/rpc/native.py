"""The transport of pygrpc-native: HTTP/2 in Rust, ModelInfer in batches, all else relayed to grpc.aio behind it."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import grpc
from pygrpc_native import EVENT_CANCEL, NativeGrpcFront

from server.errors import RecurError
from server.rpc.connection import ANSWER_SECONDS, LARGEST_MESSAGE, SILENT_SECONDS
from server.rpc.grpcio import Grpcio
from server.rpc.inference import InferenceService
from server.rpc.methods import SERVICE
from server.rpc.status import status_of
from server.types import Chunk

# What came is handed to the event loop so many at once.
MOST = 256
# Answers wait for the Rust threads to write them, and a front that is closed at once drops them.
WRITTEN_SECONDS = 0.1
TOO_LARGE = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]

Event = tuple[int, int, int, bytes | None, bytes | str | None]


@final
class Native:
    """A front in Rust threads, a thread that waits for what comes, and grpc.aio behind a Unix socket."""

    def __init__(self, service: InferenceService, relay: Grpcio, max_calls: int) -> None:
        self._service = service
        self._relay = relay
        self._max_calls = max_calls
        self._taken = threading.Semaphore(0)
        # The calls that wait, each with its chunks.
        self._calls: dict[int, Sequence[Chunk]] = {}
        self._idle = asyncio.Event()

    async def start(self, listen: str) -> int:
        """Listen on HOST:PORT; gives the port, or raises OSError."""
        self._front = NativeGrpcFront(
            listen,
            [(f"/{SERVICE.full_name}/ModelInfer", False)],
            io_threads=1,
            call_details=True,  # without it nothing is told of calls that are cancelled or past their deadline
            keepalive_time_ms=round(SILENT_SECONDS * 1000),
            keepalive_timeout_ms=round(ANSWER_SECONDS * 1000),
            max_concurrent_streams=self._max_calls,
        )
        self._folder = TemporaryDirectory(prefix="recur-")
        socket = Path(self._folder.name, "relay")
        await self._relay.start(f"unix:{socket}")
        self._front.set_fallback(str(socket))
        self._front.start()
        receive = partial(self._receive, asyncio.get_running_loop())
        threading.Thread(target=receive, name="native", daemon=True).start()
        return self._front.bound_port

    async def stop(self, grace: float) -> None:
        """Let calls and streams end for so many seconds, then end them; once more ends them sooner."""
        await asyncio.gather(self._relay.stop(grace), self._rest(grace))
        await asyncio.sleep(min(grace, WRITTEN_SECONDS))
        self._front.close()
        self._folder.cleanup()

    async def _rest(self, grace: float) -> None:
        """Wait until no call waits, but no longer than so many seconds."""
        if self._calls:
            self._idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), grace)

    def _receive(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand what comes to the event loop, until the front is closed."""
        while (events := self._front.recv_batch(MOST)) is not None:
            loop.call_soon_threadsafe(self._take, events)
            self._taken.acquire()

    def _take(self, events: Sequence[Event]) -> None:
        """Take a batch, and then what came meanwhile; the thread waits for the first after a pause alone."""
        try:
            self._begin_all(events)
        finally:
            if more := self._front.recv_batch(MOST, 0):
                asyncio.get_running_loop().call_soon(self._take, more)
            else:
                self._taken.release()

    def _begin_all(self, events: Sequence[Event]) -> None:
        for kind, call, _, data, client in events:
            if kind == EVENT_CANCEL:
                self._service.cancel(self._forget(call))
            elif data is not None:
                self._begin(call, data, hash(client))

    def _begin(self, call: int, data: bytes, client: int) -> None:
        if len(data) > LARGEST_MESSAGE:
            self._front.fail(call, TOO_LARGE, _too_large("Received", data))
            return
        self._calls[call] = ()
        chunks = self._service.take(data, partial(self._reply, call), client=client)
        # It may have been answered meanwhile.
        if chunks and call in self._calls:
            self._calls[call] = chunks

    def _reply(self, call: int, request_id: str, result: bytes | RecurError) -> None:
        self._forget(call)
        if isinstance(result, RecurError):
            text, metadata = status_of(result, request_id)
            self._front.fail(call, result.code.value[0], text, metadata)
        elif len(result) > LARGEST_MESSAGE:
            self._front.fail(call, TOO_LARGE, _too_large("Sent", result))
        else:
            self._front.respond(call, result)

    def _forget(self, call: int) -> Sequence[Chunk]:
        """Let a call go; gives its chunks."""
        chunks = self._calls.pop(call, ())
        if not self._calls:
            self._idle.set()
        return chunks


def _too_large(what: str, data: bytes) -> str:
    """Say it in gRPC's own words."""
    return f"SERVER: {what} message larger than max ({len(data)} vs. {LARGEST_MESSAGE})"


def open_transport(service: InferenceService, handlers: Sequence[grpc.GenericRpcHandler], max_calls: int) -> Native:
    """Make the transport; the handlers are for what is relayed."""
    return Native(service, Grpcio(handlers, max_calls), max_calls)
