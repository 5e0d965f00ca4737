"""Models of other layouts than ours, served: each sequence answers as its graph does alone."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from demo.serving import serving
from models.loading import load_checked
from models.repository import Repository
from models.tensors import NUMPY, TIME, fixed_shape
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo, zoo_foreign
from tests.wire import tensor

pytestmark = pytest.mark.e2e

MODELS = {
    "layered_lstm": zoo_foreign.layered_lstm(),
    "scaled_sum": zoo_foreign.scaled_sum(),
    "half": zoo_foreign.half(),
    "one_step": zoo_foreign.one_step(),
}
SEQUENCES, STEPS = 5, 4


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("foreign"))
    for name, model in MODELS.items():
        zoo.publish(repository, name, model)
    return repository


@pytest.fixture(scope="module")
def calls(repository) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with serving(repository.root) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def drawn(model: zoo.ZooModel, random: np.random.Generator, time: int) -> dict[str, np.ndarray]:
    """Draw the inputs of one step or more of every sequence, `[sequences, time, …]`; scalars stay a sequence's own."""
    inputs = {}
    for spec in model.inputs:
        shape = fixed_shape(spec.shape)
        if spec.shape == ():
            inputs[spec.name] = np.arange(SEQUENCES, dtype=NUMPY[spec.dtype]) % 3 + 1
        else:
            axes = (time, *shape[1:]) if spec.shape[:1] == (TIME,) else shape
            inputs[spec.name] = random.integers(-4, 5, (SEQUENCES, *axes)).astype(NUMPY[spec.dtype])
    return inputs


def expected(repository: Repository, name: str, fed: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Step every sequence alone through the runner."""
    checked = load_checked(repository, repository.find(name))
    answers = []
    states = [{key: row[None] for key, row in checked.initial.items()} for _ in range(SEQUENCES)]
    for inputs in fed:
        rows = []
        for sequence in range(SEQUENCES):
            own = {key: array[sequence : sequence + 1] for key, array in inputs.items()}
            first = MODELS[name].inputs[0]
            time = own[first.name].shape[1] if first.shape[:1] == (TIME,) else 1
            outputs, states[sequence] = checked.runner.run(own, np.array([time]), states[sequence])
            rows.append(outputs[MODELS[name].outputs[0].name])
        answers.append(np.concatenate(rows))
    return answers


def request(name: str, inputs: dict[str, np.ndarray]) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name=name)
    for key, array in inputs.items():
        tensor(message, key, array)
    return message


def answered(response: pb.ModelInferResponse) -> np.ndarray:
    output, raw = response.outputs[0], response.raw_output_contents[0]
    return np.frombuffer(raw, NUMPY[output.datatype]).reshape(output.shape)


@pytest.mark.parametrize("together", [True, False], ids=["many sequences in one request", "one a request"])
@pytest.mark.parametrize("name", MODELS)
def test_each_sequence_answers_as_its_graph_alone(calls, repository, name, together):
    random = np.random.default_rng(7)
    fed = [drawn(MODELS[name], random, time=1 + step % 2) for step in range(STEPS)]
    wanted = expected(repository, name, fed)
    ids = np.arange(SEQUENCES) + (100 if together else 200)
    for step, inputs in enumerate(fed):
        if together:
            message = request(name, inputs)
            tensor(message, "sequence_id", ids)
            tensor(message, "sequence_start", np.full(SEQUENCES, step == 0))
            found = answered(calls.ModelInfer(message))
        else:
            rows = []
            for row, sequence in enumerate(ids.tolist()):
                message = request(name, {key: array[row : row + 1] for key, array in inputs.items()})
                message.parameters["sequence_id"].int64_param = sequence
                message.parameters["sequence_start"].bool_param = step == 0
                rows.append(answered(calls.ModelInfer(message)))
            found = np.concatenate(rows)
        np.testing.assert_array_equal(found, wanted[step])


def test_rows_of_different_lengths_run_apart_where_the_graph_takes_no_lengths(calls):
    x = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
    message = request("scaled_sum", {"x": x, "rate": np.array([1, 1, 2])})
    tensor(message, "sequence_id", np.array([1, 2, 3]))
    tensor(message, "sequence_start", np.full(3, True))
    tensor(message, "lengths", np.array([1, 3, 2]))
    assert answered(calls.ModelInfer(message)).tolist() == [[1, 0, 0], [4, 9, 15], [14, 30, 0]]


def test_a_chunk_that_is_not_whole_is_refused_where_the_graph_takes_no_lengths(calls):
    message = request("scaled_sum", {"x": np.ones((1, 2), np.float32), "rate": np.array([1])})
    tensor(message, "lengths", np.array([1]))
    message.parameters["sequence_id"].int64_param = 9
    message.parameters["sequence_start"].bool_param = True
    with pytest.raises(grpc.RpcError, match="takes no lengths"):
        calls.ModelInfer(message)
