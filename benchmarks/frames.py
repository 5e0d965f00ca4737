"""A load of unary calls written as HTTP/2 frames by hand, for servers that answer faster than grpc.aio's client asks.

`python -m benchmarks.frames ADDRESS CALLERS ROWS` prints steps a second of CALLERS calls under way on one connection:
each a step of a sequence of its own, or of ROWS sequences where ROWS is above 1.
"""

import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final, final

from benchmarks.answers import Refused, check_row_answer
from benchmarks.calls import SERVICE
from benchmarks.requests import lane_request, step_request
from server.pb import grpc_service_pb2 as pb

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
HEAD, MESSAGE_HEAD, FRAME, LARGEST_FRAME = 9, 5, 2**14, 2**20
# What the server may send before it hears that it was read: for a stream all, for the connection what is told in time.
OPEN, REFRESH = 2**31 - 1, 2**24
FIRST_WINDOW = 2**16 - 1
INITIAL_WINDOW, MAX_FRAME = 4, 5
WARM_SECONDS, SECONDS = 0.5, 2.0
GREETING_SECONDS, PATIENCE_SECONDS = 0.1, 30


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Write one frame."""
    return struct.pack(">HBBBI", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def head() -> bytes:
    """Write the header block of a call to ModelInfer, every field literal and none indexed."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"{SERVICE}/ModelInfer",
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(said)]) + said.encode()
                    for name, said in fields.items())  # fmt: skip


@final
class Callers:
    """Calls under way on one connection, each begun when its last one is answered."""

    def __init__(self, address: str, callers: int, rows: int) -> None:
        host, _, port = address.rpartition(":")
        self._socket: Final = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head: Final = head()
        self._rows = rows
        self._requests = [self._data(caller, start=False) for caller in range(callers)]
        self._buffer = b""
        self._read = 0
        self._next = 1
        self._waiting: dict[int, int] = {}
        self._answers: dict[int, list[bytes]] = {}
        settings = struct.pack(">HIHI", INITIAL_WINDOW, OPEN, MAX_FRAME, LARGEST_FRAME)
        window = struct.pack(">I", OPEN - FIRST_WINDOW)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW, 0, 0, window))
        # How much the server takes of a connection is among the first that it says.
        time.sleep(GREETING_SECONDS)
        self._socket.sendall(b"".join(self._call(caller, self._data(caller, start=True)) for caller in range(callers)))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def run(self, seconds: float) -> float:
        """Ask for so long; gives steps a second, or raises Refused for an answer that is an error."""
        answered, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds:
            done = [caller for stream in self._ended() if (caller := self._waiting.pop(stream, None)) is not None]
            answered += len(done)
            if done:
                self._socket.sendall(b"".join(self._call(caller, self._requests[caller]) for caller in done))
        return answered * self._rows / spent

    def _call(self, caller: int, data: list[bytes]) -> bytes:
        stream, self._next = self._next, self._next + 2
        self._waiting[stream] = caller
        frames = [frame(HEADERS, END_HEADERS, stream, self._head)]
        frames += [frame(DATA, 0, stream, part) for part in data[:-1]]
        return b"".join([*frames, frame(DATA, END_STREAM, stream, data[-1])])

    def _data(self, caller: int, *, start: bool) -> list[bytes]:
        """Give a request's message in the parts that frames carry."""
        rows = self._rows
        request = lane_request(caller, rows, start=start) if rows > 1 else step_request(caller + 1, start=start)
        message = struct.pack(">BI", 0, len(request)) + request
        return [message[begin : begin + FRAME] for begin in range(0, len(message), FRAME)]

    def _ended(self) -> Iterator[int]:
        """Read what has come; gives the streams that ended."""
        received = self._socket.recv(2**18)
        if not received:
            raise Refused("the server hung up")
        buffer, at = self._buffer + received, 0
        while len(buffer) - at >= HEAD:
            size = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            if len(buffer) - at < HEAD + size:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream = int.from_bytes(buffer[at + 5 : at + HEAD], "big")
            at += HEAD + size
            if kind == DATA:
                self._read += size
                self._answers.setdefault(stream, []).append(buffer[at - size : at])
            elif kind != HEADERS:
                self._answer(kind, flags, buffer[at - size : at])
            elif flags & END_STREAM:
                self._check(b"".join(self._answers.pop(stream, ())))
                yield stream
        self._buffer = buffer[at:]
        if self._read > REFRESH:
            self._socket.sendall(frame(WINDOW, 0, 0, struct.pack(">I", self._read)))
            self._read = 0

    def _check(self, answer: bytes) -> None:
        """Raise Refused for what is no answer; a call that fails ends without a message."""
        if not answer:
            raise Refused("the server answered a call with an error")
        if self._rows > 1:
            check_row_answer(pb.ModelInferResponse.FromString(answer[MESSAGE_HEAD:]))

    def _answer(self, kind: int, flags: int, payload: bytes) -> None:
        if kind in (SETTINGS, PING) and not flags & ACK:
            self._socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind in (RESET, GOAWAY):
            raise Refused(f"the server ended a call: {payload!r}")


def drive(
    address: str, callers: int, rows: int, *, warm_seconds: float = WARM_SECONDS, seconds: float = SECONDS
) -> float:
    """Give steps a second over all callers, once they are warm; raises Refused for an answer that is an error."""
    with closing(Callers(address, callers, rows)) as load:
        load.run(warm_seconds)
        return load.run(seconds)


if __name__ == "__main__":
    address, callers, rows = sys.argv[1:]
    try:
        sys.stdout.write(f"{drive(address, int(callers), int(rows))}\n")
    except Refused as error:
        sys.exit(str(error))
