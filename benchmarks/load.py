"""The load: sequences on streams of their own, each with one request under way.

`python -m benchmarks.load ADDRESS STREAMS` prints answers a second. Requests are serialised before and answers are not
parsed, so that the client's core does less than the server's.
"""

import asyncio
import sys
import time
from itertools import count

import grpc
import uvloop

from benchmarks.requests import request

METHOD = "/inference.GRPCInferenceService/ModelStreamInfer"
WARM_SECONDS, SECONDS = 0.5, 2.0


async def drive(address: str, streams: int) -> float:
    """Give answers a second over all streams, once they are warm."""
    answered = count()
    async with grpc.aio.insecure_channel(address) as channel:
        tasks = [asyncio.create_task(_sequence(channel, number + 1, answered)) for number in range(streams)]
        await asyncio.sleep(WARM_SECONDS)
        before, began = next(answered), time.perf_counter()
        await asyncio.sleep(SECONDS)
        rate = (next(answered) - before - 1) / (time.perf_counter() - began)
        if failed := [task for task in tasks if task.done()]:
            failed[0].result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return rate


async def _sequence(channel: grpc.aio.Channel, sequence: int, answered: "count[int]") -> None:
    """One sequence: the next step is sent when the last is answered."""
    call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(METHOD)()
    await call.write(request(sequence, start=True))
    step = request(sequence)
    while isinstance(answer := await call.read(), bytes):
        if b"recur_reason" in answer:
            raise RuntimeError(f"the server refused a step: {answer!r}")
        next(answered)
        await call.write(step)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(f"{runner.run(drive(sys.argv[1], int(sys.argv[2])))}\n")
