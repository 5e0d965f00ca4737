"""A flow of sequences that each take one step, many a request: left live and idle, or ended at once.

`python -m benchmarks.flow ADDRESS KIND FIRST COUNT` sends COUNT requests from the FIRST on and prints rows a second.
KIND is `idle` (all ids are new and stay live) or `churn` (all begin and end; half of the ids are new, half ended some
requests ago).
"""

import sys
import time
from collections.abc import Iterator
from itertools import islice

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.answers import check_rows
from benchmarks.calls import Stream
from benchmarks.load import run
from benchmarks.requests import rows_request

ROWS = 1000
IN_FLIGHT = 4
# An id comes again when its first life has surely been answered.
AGAIN_AFTER = 2 * IN_FLIGHT


def requests(kind: str, first: int, count: int) -> Iterator[bytes]:
    """Serialise the requests of a flow; all carry `recur_step`, so that the server keeps the last answers."""
    for number in range(first, first + count):
        ended = kind == "churn"
        sequences = churn_ids(number) if ended else _new_ids(number, ROWS)
        # No two requests have the same input, or a second life would be taken for a retry of the first.
        x = np.full((ROWS, 1, 1), number, np.float32)
        yield rows_request(str(number), sequences, x, start=True, end=ended, position=0)


def churn_ids(number: int) -> NDArray[np.int64]:
    """Give the ids of a request: a half that is new, a half that was new in an earlier request."""
    new = _new_ids(number, ROWS // 2)
    if number < AGAIN_AFTER:
        return _new_ids(number, ROWS)
    return np.concatenate([new, _new_ids(number - AGAIN_AFTER, ROWS - len(new))])


async def send(address: str, flow: Iterator[bytes]) -> int:
    """Send all requests, a few under way; gives how many were answered, raises Refused for a row that was not."""
    under_way = answered = 0
    async with grpc.aio.insecure_channel(address) as channel:
        stream = Stream(channel)
        for request in islice(flow, IN_FLIGHT):
            await stream.write(request)
            under_way += 1
        while under_way:
            check_rows(await stream.read())
            answered, under_way = answered + 1, under_way - 1
            for request in islice(flow, 1):
                await stream.write(request)
                under_way += 1
    return answered


async def _rate(address: str, kind: str, first: int, count: int) -> float:
    began = time.perf_counter()
    return await send(address, requests(kind, first, count)) * ROWS / (time.perf_counter() - began)


def _new_ids(number: int, count: int) -> NDArray[np.int64]:
    return np.arange(number * ROWS + 1, number * ROWS + 1 + count)


if __name__ == "__main__":
    address, kind, first, count = sys.argv[1:]
    sys.exit(run(_rate(address, kind, int(first), int(count))))
