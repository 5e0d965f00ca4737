"""Fakes for tests of the transport: an inbox that answers when a test says so, and a served port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from server.catalogue import Catalogue
from server.errors import RecurError
from server.metrics import Metrics
from server.pb import grpc_service_pb2 as pb
from server.rpc.inference import InferenceService
from server.rpc.transport import handler
from tests.server.fakes import chunk


class FakeInbox:
    """Keeps every request that it takes with its reply, unless it is told to refuse or to fail."""

    def __init__(self) -> None:
        self.taken: list[pb.ModelInferRequest] = []
        self.replies: list = []
        self.chunks: list = []
        self.cancelled: list = []
        self.refusal: Exception | None = None
        self.took, self.dropped = asyncio.Event(), asyncio.Event()

    def take(self, request, reply):
        self.taken.append(request)
        if isinstance(self.refusal, RecurError):
            reply(self.refusal)
            return None
        if self.refusal is not None:
            raise self.refusal
        self.replies.append(reply)
        self.chunks.append(chunk([1]))
        self.took.set()
        return self.chunks[-1]

    def cancel(self, cancelled):
        self.cancelled.append(cancelled)
        self.dropped.set()

    def answer(self, number: int) -> None:
        """Answer a request that was taken, with its own id."""

        def fill(message):
            message.id = self.taken[number].id

        self.replies[number](fill)


def service(inbox=None) -> InferenceService:
    return InferenceService(inbox or FakeInbox(), Catalogue(), Metrics(), max_batch=4, idle_seconds=60.0)


@asynccontextmanager
async def serving(served: InferenceService) -> AsyncIterator[grpc.aio.Channel]:
    """Serve on a free port of loopback; gives a channel to it."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler(served),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


def method(name: str) -> str:
    return f"/inference.GRPCInferenceService/{name}"
