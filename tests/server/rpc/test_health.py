import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.catalogue import Catalogue, ServedModel
from server.rpc.health import Health
from server.types import ModelKey

PATIENCE_SECONDS = 10
OLD, NEW = ModelKey("charlm", 1), ModelKey("charlm", 2)


class Watched:
    """A health service on a port of loopback, over a catalogue that a test changes."""

    def __init__(self, catalogue, health, channel) -> None:
        self.catalogue = catalogue
        self.health = health
        self._stub = health_pb2_grpc.HealthStub(channel)

    async def serving(self, name: str) -> bool:
        answer = await self._stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_SECONDS)
        return answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
async def watched():
    catalogue, server = Catalogue(), grpc.aio.server()
    health = Health(catalogue)
    server.add_generic_rpc_handlers((health.handler,))
    await health.start()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Watched(catalogue, health, channel)
    await server.stop(None)


async def test_admission_opens_and_closes_apart_from_the_server(watched):
    assert await watched.serving("recur.admission")
    await watched.health.admission(open=False)
    assert not await watched.serving("recur.admission")
    assert await watched.serving("")
    await watched.health.admission(open=True)
    assert await watched.serving("recur.admission")


async def test_a_model_serves_while_a_version_takes_new_sequences(watched):
    for key in (OLD, NEW):
        watched.catalogue.add(ServedModel(key, None, None, None))
        await watched.health.follow(key)
    watched.catalogue.retire(OLD, "version 2 serves in its place")
    await watched.health.follow(OLD)
    assert [await watched.serving(name) for name in ("charlm", "charlm/1", "charlm/2")] == [True, False, True]
    watched.catalogue.unload(NEW, "its unloading was asked for")
    await watched.health.follow(NEW)
    assert [await watched.serving(name) for name in ("charlm", "charlm/2")] == [False, False]


async def test_a_draining_server_serves_under_no_name_and_admission_stays_closed(watched):
    await watched.health.drain()
    await watched.health.admission(open=True)
    assert [await watched.serving(name) for name in ("", "recur.admission")] == [False, False]
