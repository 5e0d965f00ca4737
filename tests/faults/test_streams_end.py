"""A stream that has ended is gone at once, with all that gRPC keeps for its call."""

import asyncio
import gc
import weakref

import grpc
import pytest

from server.rpc.stream import Stream


class EndlessInbox:
    """Takes requests and answers none."""

    def take(self, data, reply, *, client, watch):
        return ()

    def cancel(self, chunks):
        pass

    def leave(self, watch):
        pass


class Call:
    """A call whose client says nothing, and then either ends it or goes away."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def read(self):
        await self.ended.wait()
        return grpc.aio.EOF


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_stream_that_has_ended_leaves_no_cycle_behind(cancelled: bool):
    call = Call()
    stream = Stream(EndlessInbox(), call)
    gone = weakref.ref(stream)
    serving = asyncio.create_task(stream.serve(asyncio.Event()))
    await asyncio.sleep(0)
    if cancelled:
        serving.cancel()
    else:
        call.ended.set()
    await asyncio.wait([serving])
    assert serving.cancelled() == cancelled
    del stream, serving
    await asyncio.sleep(0)
    assert gone() is None
