"""A fake server, and the client in both flavours and on both ways, all seen by one blocking test.

pytest reads this file when it looks through the folder too: what loads tritonclient is imported in the fixtures.
"""

import asyncio
import inspect
import json
import socket
import subprocess
import sys
from dataclasses import dataclass

import pytest

from client.retry import Retry
from tests.conftest import ROOT

QUICK = Retry(deadline_seconds=20, try_seconds=5, first_pause_seconds=0.001, longest_pause_seconds=0.05)


@dataclass
class Fake:
    """The fake server's process; `tell` returns when it has done what it was told."""

    process: subprocess.Popen
    address: str

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    @property
    def applied(self):
        return self.tell()["applied"]

    @property
    def requests(self):
        return self.tell()["requests"]

    @property
    def live(self):
        return self.tell()["live"]


@pytest.fixture(scope="session")
def running():
    command = [sys.executable, "-m", "tests.client.fake_server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Fake(process, f"127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.kill()


@pytest.fixture
def fake(running):
    running.tell(reset=True)
    return running


@pytest.fixture
def nobody():
    """Give an address at which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


class Waited:
    """An asyncio object as its blocking twin: what it awaits is waited for."""

    def __init__(self, loop, inner):
        self._loop, self._inner = loop, inner

    def __getattr__(self, name):
        return self._wait(getattr(self._inner, name))

    def __enter__(self):
        self._loop.run_until_complete(self._inner.__aenter__())
        return self

    def __exit__(self, *error):
        self._loop.run_until_complete(self._inner.__aexit__(*error))

    def _wait(self, value):
        if inspect.ismethod(value):
            return lambda *args, **kwargs: self._wait(value(*args, **kwargs))
        if inspect.iscoroutine(value):
            return self._loop.run_until_complete(value)
        if inspect.isasyncgen(value):
            return self._iterate(value)
        return Waited(self._loop, value) if hasattr(value, "__aenter__") else value

    def _iterate(self, answers):
        try:
            while True:
                yield self._loop.run_until_complete(anext(answers))
        except StopAsyncIteration:
            return
        finally:
            self._loop.run_until_complete(answers.aclose())


@pytest.fixture(params=["blocking", "aio"])
def connect(request, fake):
    """Make a client of one flavour, connected to the fake server, closed with the test."""
    from client import aio, blocking

    clients = []
    loop = asyncio.new_event_loop() if request.param == "aio" else None

    async def made(address, options):
        return aio.Client(address, **options)

    def connected(*, address=fake.address, **options):
        options = {"retry": QUICK, **options}
        if loop is None:
            clients.append(blocking.Client(address, **options))
        else:
            clients.append(Waited(loop, loop.run_until_complete(made(address, options))))
        return clients[-1]

    yield connected
    for client in clients:
        client.close()
    if loop is not None:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture(params=["unary", "streamed"])
def client(request, connect):
    return connect(streamed=request.param == "streamed")
