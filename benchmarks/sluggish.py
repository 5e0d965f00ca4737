"""Clients that are no good: slow to read, slow to send, or gone without a word.

`python -m benchmarks.sluggish ADDRESS COUNT` opens COUNT of each kind, says when all are at it, and goes on until it is
ended.
"""

import asyncio
import sys

import grpc
import uvloop

from benchmarks.calls import Stream
from benchmarks.requests import step_request
from tests.faults import http2

# Sequences of their own, apart from any load's.
FIRST = 1_000_000
STEPS = 10
# A slow client does one thing in so long.
PAUSE_SECONDS = 0.1
# A connection of its own, which takes no more than 64 KiB before they are read.
WINDOW = (("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0))
# A stream that takes no request for so long is read no further.
BLOCKED_SECONDS = 1.0


async def read_slowly(address: str, sequence: int, blocked: asyncio.Event) -> None:
    """Send without reading until no more is taken; then read an answer now and then."""
    async with grpc.aio.insecure_channel(address, WINDOW) as channel:
        stream = Stream(channel)
        await stream.write(step_request(sequence, steps=STEPS, start=True))
        writing = asyncio.create_task(_write_on(stream, step_request(sequence, steps=STEPS), blocked))
        await blocked.wait()
        while not writing.done():
            await stream.read()
            await asyncio.sleep(PAUSE_SECONDS)
        writing.result()


async def _write_on(stream: Stream, request: bytes, blocked: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    while True:
        waiting = loop.call_later(BLOCKED_SECONDS, blocked.set)
        await stream.write(request)
        waiting.cancel()


async def send_slowly(address: str, sequence: int) -> None:
    """Send requests a byte at a time, and say that somebody is there when the server asks."""
    reader, writer = await _begin(address)
    answering = asyncio.create_task(_answer_pings(reader, writer))
    while not answering.done():
        for byte in http2.message(step_request(sequence, steps=STEPS, start=True)):
            writer.write(http2.frame(http2.DATA, 0, 1, bytes([byte])))
            await asyncio.sleep(PAUSE_SECONDS)
    answering.result()


async def vanish(address: str, sequence: int) -> None:
    """Begin a sequence on a stream, and neither read nor say another word."""
    _, writer = await _begin(address)
    writer.write(http2.frame(http2.DATA, 0, 1, http2.message(step_request(sequence, start=True))))
    await asyncio.Event().wait()


async def _begin(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(http2.GREETING + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.headers()))
    return reader, writer


async def _answer_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == http2.PING:
            writer.write(http2.frame(http2.PING, http2.ACK, 0, payload))


async def main(address: str, count: int) -> None:
    """Be all of them; say `ready` when no slow reader's request is taken any more."""
    async with asyncio.TaskGroup() as tasks:
        blocked = [asyncio.Event() for _ in range(count)]
        for number, event in enumerate(blocked):
            tasks.create_task(read_slowly(address, FIRST + number, event))
            tasks.create_task(send_slowly(address, FIRST + count + number))
            tasks.create_task(vanish(address, FIRST + 2 * count + number))
        for event in blocked:
            await event.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2])))
