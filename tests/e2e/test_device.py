"""States on a device, served: the code that a card needs, run on the CPU, answers bit for bit as the ordinary path."""

import grpc
import numpy as np
import pytest

from demo.serving import serving
from models.repository import Repository
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo, zoo_foreign, zoo_roles
from tests.wire import ask, ask_many, output, tensor

pytestmark = pytest.mark.e2e

SEQUENCES, FEATURES = 40, 32
MODELS = {
    "lstm": zoo.lstm(features=FEATURES),
    "layered_lstm": zoo_foreign.layered_lstm(features=FEATURES),
    "leaky": zoo_roles.leaky(features=FEATURES),
    "annotations": zoo_roles.annotations(features=FEATURES),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("device"))
    for name, model in MODELS.items():
        zoo.publish(repository, name, model, tolerance=1e-5)
    return repository


def requests(name: str) -> list[pb.ModelInferRequest]:
    """Ask for steps of sequences alone and together, of one step and more, and let every third begin anew."""
    random = np.random.default_rng(5)

    def drawn(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    asked = []
    for number in range(1, SEQUENCES + 1):
        message = ask(number, drawn(1 + number % 3, FEATURES), model=name, start=True)
        if "start" in MODELS[name].roles:
            tensor(message, "source", drawn(1, 1 + number % 4, 5))
        asked.append(message)
    ids = np.arange(1, SEQUENCES + 1)
    for time in (1, 4, 1):
        for part in (ids, ids[::-1], ids[::3]):
            lengths = random.integers(1, time + 1, len(part))
            asked.append(ask_many(part.tolist(), drawn(len(part), time, FEATURES), model=name, lengths=lengths))
    asked += [ask(int(number), drawn(1, FEATURES), model=name, end=True) for number in ids]
    for message in asked:
        message.inputs[0].name = MODELS[name].inputs[0].name
    return asked


def answered(calls: stubs.GRPCInferenceServiceStub, name: str) -> list[bytes]:
    answer = MODELS[name].outputs[0].name
    return [output(calls.ModelInfer(request), answer).tobytes() for request in requests(name)]


@pytest.fixture(scope="module")
def answers(repository) -> dict[str, dict[str, list[bytes]]]:
    """Ask a server with its states on the host, and one with them on a device."""
    answers: dict[str, dict[str, list[bytes]]] = {}
    for program in ("server", "tests.e2e.on_device"):
        with serving(repository.root, program=program) as server, grpc.insecure_channel(server.listen) as channel:
            calls = stubs.GRPCInferenceServiceStub(channel)
            answers[program] = {name: answered(calls, name) for name in MODELS}
    return answers


@pytest.mark.parametrize("name", MODELS)
def test_states_on_a_device_answer_as_those_of_the_host(answers, name):
    assert answers["tests.e2e.on_device"][name] == answers["server"][name]
