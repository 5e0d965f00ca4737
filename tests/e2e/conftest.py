"""A server as a process of its own, with models of the zoo."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from demo.serving import ROOT, Serving, serving
from models.repository import Repository
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo

TALK_SECONDS = 60


@pytest.fixture(scope="session")
def zoo_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("zoo"))
    for name, model in (
        ("lstm", zoo.lstm()), ("ledger", zoo.ledger()), ("sum", zoo.running_sum()), ("lookup", zoo.lookup()),
        ("overflow", zoo.overflow()),
    ):  # fmt: skip
        zoo.publish(repository, name, model)
    damaged = zoo.publish(repository, "damaged", zoo.ledger())
    (damaged.folder / zoo.GRAPH).write_bytes(b"not a graph")
    other = zoo.publish(repository, "forgetful", zoo.ledger())
    zoo.replace_file(other, zoo.GRAPH, zoo.lstm().graph)
    return repository


@pytest.fixture(scope="session")
def server(zoo_repository: Repository, transport: str) -> Iterator[Serving]:
    with serving(zoo_repository.root, "--poll-seconds", "0.2") as running:
        assert transport in running.log[-1]
        yield running


@pytest.fixture
def calls(server: Serving) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


@pytest.fixture
def triton(server: Serving) -> Callable[[str], Any]:
    """Let tritonclient hold one of its conversations with the server."""
    return lambda conversation: talk(conversation, server)


def talk(conversation: str, server: Serving) -> Any:
    """Let tritonclient hold one of its conversations with a server."""
    command = [sys.executable, "-m", "tests.e2e.triton", conversation, server.listen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TALK_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def empty_repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")
