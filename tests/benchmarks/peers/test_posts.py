import asyncio
import json
from contextlib import asynccontextmanager

import numpy as np
import pytest

from benchmarks.answers import Refused
from benchmarks.peers.posts import body_of, drive
from benchmarks.peers.servers import PEERS, SCRIPTS
from benchmarks.requests import FEATURES, step_values


class Posts:
    """An HTTP server that keeps what it is sent; it answers in pieces, and refuses after so many requests."""

    def __init__(self, *, refuses_after: int = 10**9) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self._refuses_after = refuses_after

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                refused = len(self.bodies) > self._refuses_after
                writer.write(b"HTTP/1.1 500 Broken\r\n" if refused else b"HTTP/1.1 200 OK\r\n")
                writer.write(b"content-length: 4\r\n\r\nno")
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(b"ne")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the load is over
        finally:
            writer.close()


@asynccontextmanager
async def listening(posts: Posts):
    server = await asyncio.start_server(posts.serve, "127.0.0.1", 0)
    async with server:
        yield "{}:{}".format(*server.sockets[0].getsockname())
        # The connections hear of their end while there is a loop.
        await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr("benchmarks.peers.posts.WARM_SECONDS", 0.05)
    monkeypatch.setattr("benchmarks.peers.posts.SECONDS", 0.1)


async def test_each_caller_posts_its_own_step_again_and_again():
    posts = Posts()
    async with listening(posts) as address:
        assert await drive(address, "/inference", "bytes", 3) > 0
    assert set(posts.bodies) == {body_of(sequence, "bytes") for sequence in (1, 2, 3)}
    assert len(posts.bodies) > 6
    assert {head.split(b" HTTP")[0] for head in posts.heads} == {b"POST /inference"}


async def test_a_refusal_ends_the_load_with_its_sentence():
    posts = Posts(refuses_after=5)
    async with listening(posts) as address:
        with pytest.raises(Refused, match="500 Broken: none"):
            await drive(address, "/inference", "json", 2)


def test_a_body_has_the_sequence_and_its_step():
    x = step_values(7)
    told = json.loads(body_of(7, "json"))
    assert (told["sequence"], np.float32(told["x"]).tolist()) == (7, x.ravel().tolist())
    data = body_of(7, "bytes")
    assert int.from_bytes(data[:8], "little") == 7
    assert np.frombuffer(data[8:], np.float32).tolist() == x.ravel().tolist()
    assert x.shape == (1, 1, FEATURES)


def test_every_peer_has_a_server_and_an_environment_that_is_pinned():
    for name in PEERS:
        assert (SCRIPTS / f"{name}_server.py").exists()
        lines = (SCRIPTS / f"{name}.txt").read_text().split()
        assert lines
        assert all("==" in line for line in lines)
