"""A server on loopback with ranges, which can cut a connection: where published sets are brought from in tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Mirror:
    """Files by their path; `asked` has every request's path and first byte.

    Attributes:
        cut: bytes of a path after which its connection is closed, once.
        ranges: whether only a part can be asked for.
        late: bytes by which such a part begins later than was asked for.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    late: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)
    address: str = ""


def _handler(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            # A client that refuses an answer closes the connection.
            with suppress(ConnectionError):
                super().handle()

        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            first = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
            mirror.asked.append((path, first))
            if path not in mirror.files:
                self._answer(404, b"")
            elif first and mirror.ranges and first >= len(mirror.files[path]):
                self._answer(416, b"")
            elif first and mirror.ranges:
                self._answer(206, mirror.files[path][first + mirror.late :], first + mirror.late)
            else:
                self._answer(200, mirror.files[path])

        def _answer(self, status: int, content: bytes, first: int = 0) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{first + len(content)}")
            cut = mirror.cut.pop(self.path.lstrip("/"), None)
            self.end_headers()
            self.wfile.write(content if cut is None else content[:cut])
            self.close_connection = cut is not None

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the tests' output to themselves."""

    return Handler


@contextmanager
def serve_mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(mirror)) as server:
        mirror.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join()
