"""Models that are damaged, wrong or replaced while others are at work."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest

from demo.serving import Serving, serving
from models.manifest import GOLDEN, TensorSpec
from models.repository import ModelVersion, Repository
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo
from tests.e2e.test_server_process import eventually
from tests.faults.conftest import assert_healthy
from tests.wire import SECONDS, ask, output, reason
from tests.zoo import ledger_answers

pytestmark = pytest.mark.e2e

Calls = stubs.GRPCInferenceServiceStub
CLIENTS = 4


def empty(place: ModelVersion) -> None:
    zoo.replace_file(place, zoo.GRAPH, b"")


def truncated(place: ModelVersion) -> None:
    zoo.replace_file(place, zoo.GRAPH, zoo.lstm().graph[:-1000])


def flipped(place: ModelVersion) -> None:
    data = bytearray(zoo.lstm().graph)
    data[len(data) // 2] ^= 1
    (place.folder / zoo.GRAPH).write_bytes(data)


def noise(place: ModelVersion) -> None:
    zoo.replace_file(place, zoo.GRAPH, np.random.default_rng(23).bytes(5000))


def unknown_operator(place: ModelVersion) -> None:
    zoo.replace_file(place, zoo.GRAPH, zoo.lstm().graph.replace(b"Squeeze", b"Squeezy"))


def other_answers(place: ModelVersion) -> None:
    zoo.replace_file(place, GOLDEN, zoo.lstm(seed=5).files()[GOLDEN])


def no_golden(place: ModelVersion) -> None:
    zoo.replace_file(place, GOLDEN, b"PK\x03\x04")


def no_manifest(place: ModelVersion) -> None:
    (place.folder / "manifest.json").write_text("{")


DAMAGES: dict[str, Callable[[ModelVersion], None]] = {
    found.__name__: found
    for found in (empty, truncated, flipped, noise, unknown_operator, other_answers, no_golden, no_manifest)
}


def states(calls: Calls) -> dict[tuple[str, str], pb.RepositoryIndexResponse.ModelIndex]:
    models = calls.RepositoryIndex(pb.RepositoryIndexRequest()).models
    return {(model.name, model.version): model for model in models}


def test_a_model_that_is_damaged_does_not_serve_and_says_why_and_the_others_do(repository: Repository):
    zoo.publish(repository, "ledger", zoo.ledger())
    for name, damage in DAMAGES.items():
        damage(zoo.publish(repository, name, zoo.lstm()))
    with serving(repository.root) as server, grpc.insecure_channel(server.listen) as channel:
        calls = Calls(channel)
        index = states(calls)
        for name in DAMAGES:
            model = index[name, "1"]
            assert model.state == "UNAVAILABLE"
            assert model.reason
            assert str(repository.root) not in model.reason
            assert "Traceback" not in model.reason
            with pytest.raises(grpc.RpcError) as failure:
                calls.ModelInfer(ask(None, np.zeros((1, 32), np.float32), model=name))
            assert reason(failure.value) == "UNAVAILABLE MODEL_NOT_READY"
        assert_healthy(server)


@dataclass
class Load:
    """Clients of one model, each with a sequence that begins, goes on and ends, again and again."""

    server: Serving
    stop: threading.Event = field(default_factory=threading.Event)
    ended: dict[str, int] = field(default_factory=dict)

    def client(self, number: int) -> None:
        with grpc.insecure_channel(self.server.listen, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            calls, life = Calls(channel), 0
            while not self.stop.is_set():
                life += 1
                version = self.live(calls, f"{number} {life}")
                self.ended[version] = self.ended.get(version, 0) + 1

    def live(self, calls: Calls, sequence: str) -> str:
        """Live one sequence; it must stay on the version on which it began, and lose nothing."""
        version, state = "", 0
        for step in range(20):
            request = ask(sequence, [step % 4], model="swapped", step=step, start=not step, end=step == 19)
            answer = calls.ModelInfer(request, timeout=SECONDS)
            version = version or answer.model_version
            assert answer.model_version == version, "a sequence changed its version"
            if version == "1":
                [state] = expected = ledger_answers([step % 4], state)
            else:
                expected = [step % 4 + 1]
            assert output(answer).ravel().tolist() == expected
        return version


def test_a_model_is_swapped_under_load_and_no_call_fails(repository: Repository):
    zoo.publish(repository, "swapped", zoo.ledger())
    zoo.publish(repository, "ledger", zoo.ledger())
    with (
        serving(repository.root, "--poll-seconds", "0.1") as server,
        grpc.insecure_channel(server.listen) as channel,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        calls, load = Calls(channel), Load(server)
        clients = [threads.submit(load.client, number) for number in range(CLIENTS)]
        try:
            begun = calls.ModelInfer(ask("stays", [5], model="swapped", start=True))
            assert begun.model_version == "1"
            eventually(lambda: load.ended.get("1", 0) > 10)
            zoo.publish(repository, "swapped", zoo.lookup())
            eventually(lambda: load.ended.get("2", 0) > 10)
            zoo.publish(repository, "swapped", zoo.ledger(), outputs=(TensorSpec("other", "INT64", ("time",)),))
            eventually(lambda: [one.state for key, one in states(calls).items() if key[1] == "3"] == ["UNAVAILABLE"])
            more = load.ended["2"]
            eventually(lambda: load.ended["2"] > more + 10)
            last = calls.ModelInfer(ask("stays", [6], model="swapped", end=True))
            assert (last.model_version, output(last).ravel().tolist()) == ("1", ledger_answers([5, 6])[1:])
        finally:
            load.stop.set()
        for client in clients:
            client.result(timeout=SECONDS)
        assert load.ended.keys() == {"1", "2"}
        eventually(lambda: states(calls)["swapped", "1"].state == "UNAVAILABLE")
        assert_healthy(server)
