"""A model that stops by a unit of its own, trained, published and served: it writes names and ends them."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from demo.serving import serving
from models.repository import Repository
from server.pb import grpc_service_pb2_grpc as stubs
from tests.wire import ask, output
from training.data.data import Data
from training.data.opening import open_data
from training.generative import Generative
from training.job import Job, trained_model
from training.recipe import read_recipe
from training.run import Run

pytestmark = pytest.mark.e2e

MODEL, MOST = "names_stop", 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_folder) -> tuple[Repository, Generative, Data]:
    data_folder("names")
    folder = tmp_path_factory.mktemp("stop")
    changed = ["training.updates=150", "training.validate_every=150", "model.hidden_size=24"]
    run = Run.begin(folder / "run", read_recipe(MODEL, changed))
    repository = Repository(folder / "models")
    Job(run, repository, say=lambda _: None).through("publish")
    data = open_data(run.recipe.data, shortest=1)
    return repository, Generative(trained_model(run), edge=data.edge, way="stop"), data


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
    _, model, data = trained
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
    _, model, data = trained
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
