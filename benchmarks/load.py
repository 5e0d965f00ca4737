"""The load: callers with one request under way each, as fast as the server answers.

`python -m benchmarks.load ADDRESS WAY CALLERS SIZE` prints steps a second. WAY is `stream` (a sequence on a stream of
its own; SIZE steps a message), `unary` (the same over calls), `keyed` (calls that tell the sequence by an input, for a
server that knows of none) or `rows` (CALLERS requests under way on one stream, each with SIZE sequences of its own).
Requests are serialised before, and single steps' answers are not parsed, so that the client's core does less than the
server's.

An answer takes about two thirds of the time on the client's core that perf_analyzer needs for it.
"""

import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import uvloop

from benchmarks.answers import Refused, check_rows, check_step
from benchmarks.calls import Stream, unary
from benchmarks.requests import keyed_request, lane_request, step_request

WARM_SECONDS, SECONDS = 0.5, 2.0
Caller = asyncio.Future[None]


@dataclass(slots=True)
class Tally:
    """Steps that were answered."""

    steps: int = 0


async def drive(
    address: str, way: str, callers: int, size: int, *, warm_seconds: float = WARM_SECONDS, seconds: float = SECONDS
) -> float:
    """Give steps a second over all callers, once they are warm; raises Refused for an answer that is an error."""
    tally = Tally()
    async with grpc.aio.insecure_channel(address) as channel:
        tasks = [asyncio.create_task(caller) for caller in _callers(channel, way, callers, size, tally)]
        try:
            return await run_for(warm_seconds, seconds, tasks, tally)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _callers(
    channel: grpc.aio.Channel, way: str, callers: int, size: int, tally: Tally
) -> list[Coroutine[Any, Any, None]]:
    if way == "rows":
        return [row_stream(channel, callers, size, tally)]
    caller = {"stream": step_stream, "unary": step_calls, "keyed": keyed_calls}[way]
    return [caller(channel, number + 1, size, tally) for number in range(callers)]


async def run_for(warm_seconds: float, seconds: float, callers: Sequence[Caller], tally: Tally) -> float:
    """Give steps a second, once the callers are warm; none ends but with an error, which is raised."""
    await _wait(warm_seconds, callers)
    before, began = tally.steps, time.perf_counter()
    await _wait(seconds, callers)
    return (tally.steps - before) / (time.perf_counter() - began)


async def _wait(seconds: float, callers: Sequence[Caller]) -> None:
    done, _ = await asyncio.wait(callers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for caller in done:
        caller.result()


async def step_stream(channel: grpc.aio.Channel, sequence: int, steps: int, tally: Tally) -> None:
    """One sequence: the next request is sent when the last is answered."""
    stream = Stream(channel)
    await stream.write(step_request(sequence, steps=steps, start=True))
    request = step_request(sequence, steps=steps)
    while True:
        check_step(await stream.read())
        tally.steps += steps
        await stream.write(request)


async def step_calls(channel: grpc.aio.Channel, sequence: int, steps: int, tally: Tally) -> None:
    """One sequence, a call a request."""
    call = unary(channel)
    await call(step_request(sequence, steps=steps, start=True))
    request = step_request(sequence, steps=steps)
    while True:
        await call(request)
        tally.steps += steps


async def keyed_calls(channel: grpc.aio.Channel, sequence: int, steps: int, tally: Tally) -> None:
    """One sequence, a call a step, of a server that knows of no sequences."""
    call, request = unary(channel), keyed_request(sequence)
    while True:
        await call(request)
        tally.steps += steps


async def row_stream(channel: grpc.aio.Channel, lanes: int, rows: int, tally: Tally) -> None:
    """Requests of many rows on one stream, one of each lane under way; none waits for another lane's."""
    stream = Stream(channel)
    for lane in range(lanes):
        await stream.write(lane_request(lane, rows, start=True))
    requests = {str(lane): lane_request(lane, rows) for lane in range(lanes)}
    while True:
        answered = check_rows(await stream.read())
        tally.steps += rows
        await stream.write(requests[answered])


def run(work: Coroutine[Any, Any, float]) -> int:
    """Print the number that a load gives, or on stderr why it could not go on; returns the exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            sys.stdout.write(f"{runner.run(work)}\n")
        except (Refused, grpc.aio.AioRpcError) as error:
            sys.stderr.write(f"{error.details() if isinstance(error, grpc.aio.AioRpcError) else error}\n")
            return 1
    return 0


if __name__ == "__main__":
    address, way, callers, size = sys.argv[1:]
    sys.exit(run(drive(address, way, int(callers), int(size))))
