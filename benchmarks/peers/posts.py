"""The load of peers that speak HTTP: callers with one request under way each, as fast as the server answers.

`python -m benchmarks.peers.posts ADDRESS PATH FORM CALLERS` prints steps a second. FORM is `bytes` (a sequence's id and
its step as they lie in memory) or `json`.
"""

import asyncio
import json
import re
import sys
from functools import partial
from typing import cast, final

from typing_extensions import override

from benchmarks.answers import Refused
from benchmarks.load import SECONDS, WARM_SECONDS, Tally, run, run_for
from benchmarks.requests import step_values

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def body_of(sequence: int, form: str) -> bytes:
    """Write a step of a sequence."""
    x = step_values(sequence)
    if form == "bytes":
        return sequence.to_bytes(8, "little") + x.tobytes()
    return json.dumps({"sequence": sequence, "x": x.ravel().tolist()}).encode()


@final
class Caller(asyncio.Protocol):
    """A connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._came = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._transport.write(self._request)

    @override
    def data_received(self, data: bytes) -> None:
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        if not end or not (length := LENGTH.search(head)) or len(body) < int(length[1]):
            return
        if b" 200 " not in head[:16]:
            self.ended.set_exception(Refused(f"{head.splitlines()[0].decode()}: {body.decode(errors='replace')}"))
            return
        self._came = b""
        self._tally.steps += 1
        self._transport.write(self._request)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(Refused("the server ended a connection"))


async def drive(address: str, path: str, form: str, callers: int) -> float:
    """Give steps a second over all callers, once they are warm; raises Refused for an answer that is an error."""
    host, _, port = address.rpartition(":")
    tally, made = Tally(), []
    for sequence in range(1, callers + 1):
        body = body_of(sequence, form)
        head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n"
        head += "Content-Type: application/json\r\n\r\n" if form == "json" else "\r\n"
        make = partial(Caller, head.encode() + body, tally)
        made.append(await asyncio.get_running_loop().create_connection(make, host, int(port)))
    ends = [caller.ended for _, caller in made]
    try:
        return await run_for(WARM_SECONDS, SECONDS, ends, tally)
    finally:
        for transport, caller in made:
            caller.ended.cancel()
            transport.abort()


if __name__ == "__main__":
    address, path, form, callers = sys.argv[1:]
    sys.exit(run(drive(address, path, form, int(callers))))
