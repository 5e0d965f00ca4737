"""A flood on one connection, and how long a client that comes right after it waits for its answer.

`python -m benchmarks.flood ADDRESS KIND COUNT` prints seconds. KIND is `resets`, of calls as soon as they are
opened, or `pings`.
"""

import asyncio
import sys
import time

import grpc

from benchmarks.calls import unary
from benchmarks.load import run
from benchmarks.requests import step_request
from tests.faults import http2

KINDS = {"resets": http2.reset_calls, "pings": http2.ping}


async def seconds_to_an_answer(address: str, kind: str, count: int) -> float:
    """Flood, connect anew, and ask for a step."""
    with http2.connection(address) as connected:
        http2.begin(connected)
        await asyncio.to_thread(KINDS[kind], connected, count)
        began = time.perf_counter()
        async with grpc.aio.insecure_channel(address) as channel:
            await unary(channel)(step_request(1, start=True))
        return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(run(seconds_to_an_answer(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
