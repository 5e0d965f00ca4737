"""Servers for the fault tests, and what is looked at from outside: memory, open files, another client's luck."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from demo.serving import Serving, serving
from models.repository import Repository
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo
from tests.wire import SECONDS, ask, values

# The faults are small unless this is set, as `make faults` does.
SCALE = int(os.environ.get("RECUR_FAULTS_SCALE", "1"))
FULL = SCALE > 1


@pytest.fixture(scope="session")
def fault_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("faults"))
    for name, model in (("ledger", zoo.ledger()), ("lstm", zoo.lstm()), ("overflow", zoo.overflow())):
        zoo.publish(repository, name, model)
    zoo.publish(repository, "overflow_allowed", zoo.overflow(), allow_nonfinite=True)
    return repository


@pytest.fixture(scope="module")
def server(fault_repository: Repository, transport: str) -> Iterator[Serving]:
    """A server of the module's own, which must live through all of its tests."""
    # Some tests keep the server busy with one long chunk.
    with serving(fault_repository.root, "--max-chunk-steps", "1000000") as running:
        assert transport in running.log[-1]
        yield running
        assert running.process.poll() is None, "".join(running.log[-50:])
    assert not any("Traceback" in line for line in running.log), "".join(running.log)


@pytest.fixture
def calls(server: Serving) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


@pytest.fixture
def healthy(server: Serving) -> Callable[[], None]:
    return lambda: assert_healthy(server)


def assert_healthy(server: Serving) -> None:
    """A client that comes now is answered; how soon, `make bench` prints."""
    with grpc.insecure_channel(server.listen, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        ready = stubs.GRPCInferenceServiceStub(channel)
        assert values(ready.ModelInfer(ask(None, [1, 2]), timeout=SECONDS)) == zoo.ledger_answers([1, 2])


def resident_bytes(server: Serving) -> int:
    """What the server holds of the machine's memory."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def open_files(server: Serving) -> int:
    """How many descriptors the server has open, its connections among them."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))
