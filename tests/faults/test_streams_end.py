"""A stream that has ended is gone at once, with all that gRPC keeps for its call."""

import asyncio
import gc
import weakref

import grpc
import pytest

from server.rpc.stream import Stream
from tests.server.fakes import chunk


class EndlessInbox:
    """Takes requests and answers none."""

    def take(self, data, reply, *, client, watch, answers):
        return (chunk([1], done=reply),)

    def cancel(self, chunks):
        pass

    def crowded(self, chunks):
        return False

    def leave(self, watch):
        pass


class Call:
    """A call whose client sends requests or none, and then goes away."""

    def __init__(self, *requests: bytes) -> None:
        self.ended = asyncio.Event()
        self.requests = list(requests)

    async def read(self):
        if self.requests:
            return self.requests.pop()
        await self.ended.wait()
        return grpc.aio.EOF


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(("requests", "cancelled"), [([], False), ([], True), ([b"never answered"], True)])
async def test_a_stream_that_has_ended_leaves_no_cycle_behind(requests: list[bytes], cancelled: bool):
    call = Call(*requests)
    stream = Stream(EndlessInbox(), call)
    gone = weakref.ref(stream)
    serving = asyncio.create_task(stream.serve(asyncio.Event()))
    await asyncio.sleep(0)
    if cancelled:
        serving.cancel()
    call.ended.set()  # as a call that is cancelled does, too
    await asyncio.wait([serving])
    assert serving.cancelled() == cancelled
    del stream, serving
    await asyncio.sleep(0)
    assert gone() is None


class Unfinished(Call):
    """A call of which a read and a write are under way until it ends; gRPC leaks one that is cancelled before."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: set[str] = set()
        self.cancelled: set[str] = set()

    async def read(self):
        return await self._under_way("read")

    async def write(self, message):
        return await self._under_way("write")

    async def _under_way(self, what: str):
        self.begun.add(what)
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            self.cancelled.add(what)
            raise
        return grpc.aio.EOF


@pytest.mark.parametrize("drained", [False, True])
async def test_a_stream_that_is_cancelled_lets_grpc_finish_what_it_began(drained: bool):
    call, draining = Unfinished(), asyncio.Event()
    stream = Stream(EndlessInbox(), call)
    serving = asyncio.create_task(stream.serve(draining))
    await asyncio.sleep(0)
    stream.send(b"\0")
    while call.begun != {"read", "write"}:
        await asyncio.wait([serving], timeout=0)
    if drained:
        draining.set()
        await asyncio.wait([serving], timeout=0)
    serving.cancel()
    await asyncio.wait([serving], timeout=0)
    call.ended.set()
    await asyncio.wait([serving])
    assert serving.cancelled()
    assert call.cancelled == set()
