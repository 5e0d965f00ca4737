"""Fakes for tests of the transport: an inbox that answers when a test says so, and a served port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from google.protobuf.message import DecodeError

from server.catalogue import Catalogue
from server.errors import InvalidRequest, RecurError
from server.limits import Limits
from server.metrics import Metrics
from server.pb import grpc_service_pb2 as pb
from server.rpc.inference import InferenceService
from server.rpc.methods import handler
from tests.server.fakes import chunk


class FakeInbox:
    """Keeps every request that it takes with its reply and its chunks, unless it is told to refuse or to fail."""

    def __init__(self) -> None:
        self.taken: list[pb.ModelInferRequest] = []
        self.replies: list = []
        self.chunks: list = []
        self.cancelled: list = []
        self.clients: list = []
        self.left: list = []
        self.watches: list = []
        self.answers: list = []
        self.refusal: Exception | None = None
        self.full = False
        self.took, self.dropped = asyncio.Event(), asyncio.Event()

    def take(self, data, reply, *, client=0, watch=None, answers=None):
        try:
            request = pb.ModelInferRequest.FromString(data)
        except DecodeError:
            reply("", InvalidRequest("the bytes are not a inference.ModelInferRequest"))
            return ()
        self.taken.append(request)
        self.replies.append(reply)
        self.clients.append(client)
        self.watches.append(watch)
        self.answers.append(answers)
        if isinstance(self.refusal, RecurError):
            reply(request.id, self.refusal)
            return ()
        if self.refusal is not None:
            raise self.refusal
        self.chunks.append((chunk([1]),))
        self.took.set()
        return self.chunks[-1]

    def cancel(self, cancelled):
        self.cancelled.append(cancelled)
        self.dropped.set()

    def crowded(self, chunks):
        return self.full

    def leave(self, watch):
        self.left.append(watch)

    def answer(self, number: int) -> None:
        """Answer a request that was taken, with its own id."""
        self.reply(number, pb.ModelInferResponse(id=self.taken[number].id).SerializeToString())

    def reply(self, number: int, result) -> None:
        """Give a request that was taken this result."""
        self.replies[number](self.taken[number].id, result)


class FakeContext:
    """A call's context, of a client that is there."""

    def peer(self):
        return "ipv4:127.0.0.1:1"


class FakeControl:
    """Remembers what it was asked to load and unload, unless it is told to refuse."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refusal: RecurError | None = None

    async def load(self, name):
        self._ask("load", name)

    async def unload(self, name):
        self._ask("unload", name)

    def _ask(self, what, name):
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((what, name))


def service(inbox=None, *, catalogue=None, control=None, limits=None) -> InferenceService:
    found = limits or (lambda name: Limits(max_batch=4, idle_seconds=60.0))
    return InferenceService(inbox or FakeInbox(), catalogue or Catalogue(), Metrics(), control or FakeControl(), found)


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
