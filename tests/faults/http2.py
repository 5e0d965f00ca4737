"""A client that speaks just enough HTTP/2 to break its rules: frames by hand over a plain socket."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK, END_HEADERS = 1, 4
REFUSED, CANCEL = 7, 8
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
SECONDS = 20


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write one frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(path: str = STREAM, **more: str) -> bytes:
    """Write the header block of a call, every field literal and none indexed."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost", "te": "trailers"}
    fields |= {"content-type": "application/grpc"} | {name.replace("_", "-"): value for name, value in more.items()}
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields.items())


def message(data: bytes, length: int | None = None) -> bytes:
    """Write a gRPC message, or the beginning of one that says it is longer."""
    return struct.pack(">BI", 0, len(data) if length is None else length) + data


def call(stream: int, data: bytes) -> bytes:
    """Open a call and send its first message."""
    return frame(HEADERS, END_HEADERS, stream, headers()) + frame(DATA, 0, stream, message(data))


# The preface, no settings of our own, and that the server's are taken.
GREETING = PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0)


@contextmanager
def connection(address: str) -> Iterator[socket.socket]:
    """Connect, and nothing more."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connected:
        yield connected


def begin(connected: socket.socket) -> None:
    """Greet the server, with no settings of our own."""
    connected.sendall(GREETING)


def reset_calls(connected: socket.socket, count: int) -> None:
    """Open calls and reset each at once, or as many as the server puts up with."""
    block, cancel = headers(), CANCEL.to_bytes(4, "big")
    with suppress(ConnectionError):
        for stream in range(1, 2 * count, 2):
            connected.sendall(frame(HEADERS, END_HEADERS, stream, block) + frame(RESET, 0, stream, cancel))


def ping(connected: socket.socket, count: int) -> None:
    """Ask whether the server is there, or as often as it puts up with."""
    with suppress(ConnectionError):
        for _ in range(count):
            connected.sendall(frame(PING, 0, 0, bytes(8)))


def frames(connected: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Read frames, kind and payload, until the server closes the connection."""
    with connected.makefile("rb") as file:
        try:
            while len(head := file.read(9)) == 9:
                yield head[3], file.read(int.from_bytes(head[:3], "big"))
        except ConnectionError:
            return


def closed(connected: socket.socket) -> bool:
    """Read until the server closes the connection; false where it goes on within the time for it."""
    try:
        for _ in frames(connected):
            pass
    except TimeoutError:
        return False
    return True


def _text(value: str) -> bytes:
    data = value.encode()
    assert len(data) < 127, "a length of one byte"
    return bytes([len(data)]) + data
