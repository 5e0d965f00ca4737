"""The server as an operator meets it: started, fed with models, watched, stopped."""

import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from demo.serving import ROOT, Serving, serving
from models.repository import Repository
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo
from tests.e2e.test_bad_requests import step

pytestmark = pytest.mark.e2e

DEADLINE_SECONDS = 30
SERVING = health_pb2.HealthCheckResponse.SERVING


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds; fail at the deadline."""
    deadline, pause = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold"
        pause.wait(0.05)


def metric(server: Serving, line: str) -> float:
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(found.rsplit(" ", 1)[1]) for found in lines if found.startswith(line)), 0.0)


def health(channel: grpc.Channel, name: str) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        return stub.Check(health_pb2.HealthCheckRequest(service=name)).status
    except grpc.RpcError:
        return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def test_an_empty_server_is_ready_and_serves_a_model_that_is_published_later(empty_repository: Repository):
    with (
        serving(empty_repository.root, "--poll-seconds", "0.1") as server,
        grpc.insecure_channel(server.listen) as channel,
    ):
        calls = stubs.GRPCInferenceServiceStub(channel)
        assert any("no model serves yet" in line for line in server.log)
        assert calls.ServerReady(pb.ServerReadyRequest()).ready
        assert health(channel, "") == SERVING
        assert health(channel, "recur.admission") == SERVING
        zoo.publish(empty_repository, "ledger", zoo.ledger())
        eventually(lambda: health(channel, "ledger/1") == SERVING)
        assert health(channel, "ledger") == SERVING
        answer = calls.ModelInfer(step("ledger", 1, np.array([[4]]), start=True))
        assert answer.model_version == "1"
        zoo.publish(empty_repository, "ledger", zoo.ledger())
        eventually(lambda: health(channel, "ledger/2") == SERVING)
        assert calls.ModelInfer(step("ledger", 1, np.array([[5]]))).model_version == "1"
        assert calls.ModelInfer(step("ledger", 2, np.array([[5]]), start=True)).model_version == "2"


def test_a_damaged_model_is_not_serving_while_others_are(server: Serving):
    with grpc.insecure_channel(server.listen) as channel:
        assert health(channel, "damaged") == health_pb2.HealthCheckResponse.NOT_SERVING
        assert health(channel, "lstm") == SERVING
    assert metric(server, 'recur_model_ready{model="damaged",version="1"}') == 0
    assert metric(server, 'recur_model_ready{model="lstm",version="1"}') == 1


@pytest.mark.grpcio
def test_a_model_that_ends_onnx_runtimes_process_is_not_serving_while_another_is(empty_repository: Repository):
    zoo.publish(empty_repository, "ledger", zoo.ledger())
    odd = zoo.publish(empty_repository, "odd", zoo.lstm())
    zoo.replace_file(odd, zoo.GRAPH, zoo.half(zoo.lstm().graph))
    with serving(empty_repository.root) as server, grpc.insecure_channel(server.listen) as channel:
        calls = stubs.GRPCInferenceServiceStub(channel)
        there = {model.name: model for model in calls.RepositoryIndex(pb.RepositoryIndexRequest()).models}
        assert there["odd"].state == "UNAVAILABLE"
        assert there["odd"].reason.startswith("the graph ends ONNX Runtime's process; ")
        assert there["ledger"].state == "READY"
        assert health(channel, "odd") == health_pb2.HealthCheckResponse.NOT_SERVING
        assert len(calls.ModelInfer(step("ledger", 1, np.array([[4]]), start=True)).outputs) == 1
        assert not any("Traceback" in line for line in server.log)


def test_reflection_lists_the_services(server: Serving):
    with grpc.insecure_channel(server.listen) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = next(iter(stub.ServerReflectionInfo(iter([question]))))
    names = {service.name for service in answer.list_services_response.service}
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= names


@pytest.mark.grpcio
def test_idle_sequences_expire_and_say_so(empty_repository: Repository):
    zoo.publish(empty_repository, "ledger", zoo.ledger())
    with (
        serving(empty_repository.root, "--idle-seconds", "0.3") as server,
        grpc.insecure_channel(server.listen) as channel,
    ):
        calls = stubs.GRPCInferenceServiceStub(channel)
        calls.ModelInfer(step("ledger", 1, np.array([[4]]), start=True))
        assert (
            metric(server, 'recur_state_bytes{model="ledger",version="1"}') == 16
        )  # the state, and room for the last answer
        eventually(lambda: metric(server, 'recur_expirations_total{model="ledger",version="1"}') == 1)
        assert metric(server, 'recur_sequences{model="ledger",version="1"}') == 0
        with pytest.raises(grpc.RpcError) as failure:
            calls.ModelInfer(step("ledger", 1, np.array([[5]])))
        assert "expired after 0.3 s without a request" in failure.value.details()


@pytest.mark.grpcio
def test_no_more_sequences_than_the_limit(empty_repository: Repository):
    zoo.publish(empty_repository, "ledger", zoo.ledger())
    with (
        serving(empty_repository.root, "--max-sequences", "2") as server,
        grpc.insecure_channel(server.listen) as channel,
    ):
        calls = stubs.GRPCInferenceServiceStub(channel)
        for sequence in (1, 2):
            calls.ModelInfer(step("ledger", sequence, np.array([[4]]), start=True))
        with pytest.raises(grpc.RpcError) as failure:
            calls.ModelInfer(step("ledger", 3, np.array([[4]]), start=True))
        assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert calls.ModelInfer(step("ledger", 1, np.array([[5]]))).parameters["recur_step"].int64_param == 2


def test_a_client_that_goes_away_leaves_nothing_behind(server: Serving):
    waiting = 'recur_queue_depth{model="ledger"}'
    with grpc.insecure_channel(server.listen) as channel:
        calls = stubs.GRPCInferenceServiceStub(channel)
        stream = calls.ModelStreamInfer(step("ledger", 500, np.array([[1]]), start=True) for _ in range(200))
        next(stream)
        stream.cancel()
    eventually(lambda: metric(server, waiting) == 0)
    with grpc.insecure_channel(server.listen) as channel:
        answer = stubs.GRPCInferenceServiceStub(channel).ModelInfer(step("ledger", 501, np.array([[1]]), start=True))
    assert answer.parameters["recur_step"].int64_param == 1


def test_sigterm_answers_what_is_in_flight_ends_streams_and_exits_with_0(empty_repository: Repository):
    zoo.publish(empty_repository, "ledger", zoo.ledger())
    with serving(empty_repository.root) as server, grpc.insecure_channel(server.listen) as channel:
        calls = stubs.GRPCInferenceServiceStub(channel)
        more = threading.Event()

        def requests():
            yield step("ledger", 1, np.array([[4]]), start=True)
            more.wait(DEADLINE_SECONDS)

        stream = calls.ModelStreamInfer(requests())
        assert next(stream).infer_response.id == "1"
        server.process.terminate()
        with pytest.raises(grpc.RpcError) as failure:
            next(stream)
        more.set()
        assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "DRAINING" in failure.value.details()
        assert server.process.wait(DEADLINE_SECONDS) == 0


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)


@pytest.mark.parametrize("flag", ["listen", "metrics"])
def test_a_taken_address_is_named_with_its_flag_and_ends_with_1(
    server: Serving, empty_repository: Repository, flag: str
):
    addresses = {"listen": "127.0.0.1:0", "metrics": "127.0.0.1:0"} | {flag: server.listen}
    done = run("--repository", str(empty_repository.root), *(f"--{name}={value}" for name, value in addresses.items()))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "cannot listen" in line]
    assert line.endswith(f"cannot listen {flag}={server.listen}")
    assert "Traceback" not in done.stderr


@pytest.mark.grpcio
def test_a_wrong_flag_is_one_line_and_exit_code_2(empty_repository: Repository):
    done = run("--listen", "nowhere")
    assert done.returncode == 2
    assert done.stderr == "server: --listen is 'nowhere': HOST:PORT is expected, for example 127.0.0.1:8001\n"


@pytest.mark.grpcio
def test_check_says_what_would_serve(zoo_repository: Repository, empty_repository: Repository):
    done = run("check", "--repository", str(zoo_repository.root))
    assert done.returncode == 1
    assert "lstm 1: serves" in done.stdout
    assert "damaged 1: refused: model.onnx is not the file that was published" in done.stdout
    assert run("check", "--repository", str(empty_repository.root)).returncode == 0


@pytest.mark.grpcio
def test_the_server_never_needs_torch(zoo_repository: Repository):
    program = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None; from server.app import main; "
        f"main(['check', '--repository', {str(zoo_repository.root)!r}], {{}})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "lstm 1: serves" in done.stdout
