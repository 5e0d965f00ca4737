import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from server.rpc.library import handler
from server.rpc.library import reflection as reflecting
from tests.server.fakes import PATIENCE_SECONDS

HEALTH = f"/{health.SERVICE_NAME}/"
REFLECTION = f"/{reflection.SERVICE_NAME}/"


@pytest.fixture
async def channel():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (handler(health.SERVICE_NAME, health.aio.HealthServicer()), reflecting("a.Service", "b.Service"))
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def test_a_call_is_answered_and_refused_as_its_servicer_says(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.Check(health_pb2.HealthCheckRequest(service="none"), timeout=PATIENCE_SECONDS)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_answer_comes_of_one_request_while_others_may_follow(channel):
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


async def test_many_requests_are_answered_each(channel):
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=PATIENCE_SECONDS)
    for _ in range(2):
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        services = (await call.read()).list_services_response.service
        assert {service.name for service in services} == {"a.Service", "b.Service", reflection.SERVICE_NAME}
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (f"{HEALTH}Check", "grpc.health.v1.HealthCheckRequest"),
        (f"{HEALTH}Watch", "grpc.health.v1.HealthCheckRequest"),
        (f"{REFLECTION}ServerReflectionInfo", "grpc.reflection.v1alpha.ServerReflectionRequest"),
    ],
)
async def test_bytes_that_are_no_message_are_an_invalid_argument_in_our_words_and_the_log_is_silent(
    channel, method, message, caplog
):
    call = channel.stream_stream(method)(iter([b"\xff\xff"]), timeout=PATIENCE_SECONDS)
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert await call.details() == f"INVALID_ARGUMENT INVALID_REQUEST: the bytes are not a {message}"
    assert caplog.records == []
