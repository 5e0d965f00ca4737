"""A model that stops by a unit of its own, trained, published and served: it writes names and ends them."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from demo.serving import serving
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.trained import Trained, publish_trained
from tests.wire import ask, output
from training.generative import Generative

pytestmark = pytest.mark.e2e

MODEL, MOST = "names_stop", 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_folder) -> Trained:
    data_folder("names")
    changed = ("model.hidden_size=24",)
    return publish_trained(MODEL, tmp_path_factory.mktemp("stop"), updates=150, changed=changed)


def distribution(trained: Trained) -> Generative:
    return Generative(trained.model, edge=trained.data.edge, way="stop")


@pytest.fixture(scope="module")
def calls(trained) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with serving(trained[0].root) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def generated(calls, name: str, edge: int, *, seed: int) -> tuple[list[int], list[float], str]:
    message = ask(name, [edge], model=MODEL, start=True)
    message.parameters["recur_max_steps"].int64_param = MOST
    message.parameters["recur_seed"].int64_param = seed
    answers = [one.infer_response for one in calls.ModelStreamInfer(iter([message]))]
    symbols = [output(one)[0, 0].item() for one in answers if any(given.name == "y" for given in one.outputs)]
    said = [output(one, "log_prob").item() for one in answers]
    return symbols, said, answers[-1].parameters["recur_finish_reason"].string_param


def test_names_end_where_the_unit_stops_and_each_answer_has_its_probability(calls, trained):
    model, data = distribution(trained), trained.data
    reasons = []
    for seed in range(20):
        symbols, said, reason = generated(calls, f"n{seed}", data.edge, seed=seed)
        reasons.append(reason)
        scored = model.score(symbols)
        wanted = scored.steps if reason == "stop_unit" else scored.steps[:-1]
        np.testing.assert_allclose(said, wanted, atol=1e-4)
        assert len(said) == len(symbols) + (reason == "stop_unit")
    assert reasons.count("stop_unit") >= 15
    assert set(reasons) <= {"stop_unit", "length"}


def test_a_name_is_scored_with_its_end_as_in_training(calls, trained):
    model, data = distribution(trained), trained.data
    for one in data.parts.test[:5]:
        message = ask(None, one.inputs.tolist(), model=MODEL)
        message.parameters["recur_score"].bool_param = True
        scored = model.score(one.inputs[1:].tolist())
        found = output(calls.ModelInfer(message), "log_prob")[0]
        np.testing.assert_allclose(found[:-1], scored.steps[:-1], atol=1e-4)
        whole = ask("whole", one.inputs.tolist(), model=MODEL, start=True, end=True)
        whole.parameters["recur_score"].bool_param = True
        total = output(calls.ModelInfer(whole), "log_prob_total").item()
        assert total == pytest.approx(scored.total, abs=1e-3)
