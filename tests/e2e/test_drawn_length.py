"""A model that is told how long its sequence is to be, served: the server draws the length where a client leaves it."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from demo.serving import serving
from models.manifest import Decode
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.trained import Trained, publish_trained
from tests.wire import ask, output, position, replayed, tensor
from training.generative import Generative

pytestmark = pytest.mark.e2e

MODEL, MOST, DRAWS = "names_length", 60, 300


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_folder) -> Trained:
    data_folder("names")
    return publish_trained(MODEL, tmp_path_factory.mktemp("length"), updates=60, changed=("model.hidden_size=24",))


@pytest.fixture(scope="module")
def decode(trained) -> Decode:
    found = trained.repository.read_manifest(trained.repository.find(MODEL)).decode
    assert found is not None
    return found


@pytest.fixture(scope="module")
def calls(trained) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with serving(trained.repository.root) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def request(name: str, xs: list[int], length: int, *, seed: int | None = 0, most: int = MOST, **options):
    message = ask(name, xs, model=MODEL, start=True, **options)
    tensor(message, "context", np.array([[length]], np.float32))
    message.parameters["recur_max_steps"].int64_param = most
    if seed is not None:
        message.parameters["recur_seed"].int64_param = seed
    return message


def written(calls, message: pb.ModelInferRequest) -> list[pb.ModelInferResponse]:
    answers = list(calls.ModelStreamInfer(iter([message])))
    assert not answers[-1].error_message, answers[-1].error_message
    return [one.infer_response for one in answers]


def reason(answers: list[pb.ModelInferResponse]) -> str:
    return answers[-1].parameters["recur_finish_reason"].string_param


def test_a_length_that_is_left_to_the_server_comes_as_often_as_it_did_in_training(calls, trained, decode):
    edge, counts = trained.data.edge, np.zeros(len(decode.lengths))
    for seed in range(DRAWS):
        answers = written(calls, request(f"n{seed}", [edge], 0, seed=seed, end=True))
        counts[len(answers)] += 1
        assert reason(answers) == "length"
        assert all(output(one)[0, 0].item() != edge for one in answers)
    assert np.abs(counts / DRAWS - decode.lengths).max() < 4 * 0.5 / np.sqrt(DRAWS)
    mean = np.arange(len(counts)) @ np.array(decode.lengths)
    assert np.arange(len(counts)) @ counts / DRAWS == pytest.approx(mean, abs=1.0)


@pytest.mark.parametrize("length", [1, 7])
def test_a_told_length_is_kept_and_each_symbol_has_its_probability(calls, trained, decode, length):
    model = Generative(trained.model, edge=trained.data.edge, way="length", lengths=decode.lengths)
    for seed in range(5):
        answers = written(calls, request("told", [trained.data.edge], length, seed=seed, end=True))
        symbols = [output(one)[0, 0].item() for one in answers]
        assert (len(symbols), reason(answers)) == (length, "length")
        said = [output(one, "log_prob").item() for one in answers]
        np.testing.assert_allclose(said, model.score(symbols).steps[1:], atol=1e-4)


def test_a_prompt_counts_and_the_steps_that_were_asked_for_may_be_fewer(calls, trained):
    edge = trained.data.edge
    assert len(written(calls, request("p", [edge, 3, 4], 7, end=True))) == 5
    assert len(written(calls, request("p", [edge, 3, 4], 7, most=2, end=True))) == 2
    [refused] = calls.ModelStreamInfer(iter([request("p", [edge, 3, 4], 2)]))
    assert "is to have 2 symbols, and the prompt has 2" in refused.error_message


@pytest.mark.parametrize("length", [-1, 2.5, float("nan"), float("inf")])
def test_what_is_no_length_is_refused_and_begins_nothing(calls, trained, length):
    [refused] = calls.ModelStreamInfer(iter([request("no", [trained.data.edge], length)]))
    assert "INVALID_ARGUMENT INVALID_REQUEST" in refused.error_message
    assert "a whole number from 0 is expected" in refused.error_message
    [gone] = calls.ModelStreamInfer(iter([ask("no", [1], model=MODEL)]))
    assert "SEQUENCE_GONE" in gone.error_message


def test_the_same_length_is_drawn_where_the_request_comes_again_without_a_seed(calls, trained):
    asked = request("again", [trained.data.edge], 0, seed=None, step=0)
    first = written(calls, asked)
    [last] = written(calls, asked)
    assert replayed(last)
    assert (position(last), output(last).tolist()) == (position(first[-1]), output(first[-1]).tolist())
    assert last.parameters["recur_finish_reason"].string_param == "length"


def test_a_search_has_the_length_too_and_a_name_is_scored_as_in_training(calls, trained, decode):
    edge = trained.data.edge
    message = request("searched", [edge], 5, seed=None)
    message.parameters["recur_beam_width"].int64_param = 3
    [found] = written(calls, message)
    assert output(found, "beam_length").tolist() == [5, 5, 5]
    assert not (output(found) == edge).any()
    model = Generative(trained.model, edge=edge, way="length", lengths=decode.lengths)
    for one in trained.data.parts.test[:3]:
        scoring = ask(None, one.inputs.tolist(), model=MODEL)
        tensor(scoring, "context", np.array([[len(one.inputs)]], np.float32))
        scoring.parameters["recur_score"].bool_param = True
        said = output(calls.ModelInfer(scoring), "log_prob")[0]
        np.testing.assert_allclose(said[:-1], model.score(one.targets.tolist()).steps[1:-1], atol=1e-4)
