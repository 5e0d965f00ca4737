import subprocess
import sys

import numpy as np
import onnx
import pytest

from models.loading import load_checked
from tests import zoo, zoo_roles
from tests.conftest import ROOT

MODELS = {
    "lstm": zoo.lstm(),
    "elman": zoo.elman(),
    "ledger": zoo.ledger(),
    "running_sum": zoo.running_sum(),
    "running_sum of three from stored values": zoo.running_sum(3, [0.5, -1.0, 2.0]),
    "overflow": zoo.overflow(),
    "lookup": zoo.lookup(),
    "gru": zoo.gru(),
    **zoo_roles.models(),
}

LOAD_ALL = """
import pathlib, sys
from models.loading import load_checked
from models.repository import Repository
repository = Repository(pathlib.Path(sys.argv[1]))
for place in repository.list():
    load_checked(repository, place)
"""


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def model(request):
    return request.param


def test_the_graph_is_valid(model):
    for graph in (model.graph, *(role.graph for role in model.roles.values())):
        onnx.checker.check_model(graph, full_check=True)
        loaded = onnx.load_from_string(graph)
        assert (loaded.opset_import[0].version, loaded.ir_version) == (21, 10)


def test_a_published_model_gives_its_golden_answers(model, repository):
    place = zoo.publish(repository, "tried", model, vocabulary="ä\nb")
    checked = load_checked(repository, place)
    assert checked.golden_error <= checked.manifest.tolerance
    assert checked.vocabulary == "ä\nb"


def test_onnx_runtime_has_nothing_to_say(repository):
    for number, model in enumerate(MODELS.values()):
        zoo.publish(repository, f"model{number}", model)
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, str(repository.root)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_lstm_follows_its_equations():
    model = zoo.lstm(features=3, hidden=4, outputs=2, seed=5)
    weights = {
        array.name: onnx.numpy_helper.to_array(array) for array in onnx.load_from_string(model.graph).graph.initializer
    }
    answers = model.answers()
    for row, length in enumerate(model.fed["lengths"]):
        h, c = model.fed["state.h"][row], model.fed["state.c"][row]
        for t in range(length):
            h, c = _lstm_step(weights, model.fed["x"][row, t], h, c)
            np.testing.assert_allclose(answers["y"][row, t], h @ weights["V"] + weights["b"], atol=1e-6)
        assert not answers["y"][row, length:].any()
        np.testing.assert_allclose(answers["next_state.h"][row], h, atol=1e-6)
        np.testing.assert_allclose(answers["next_state.c"][row], c, atol=1e-6)


def _lstm_step(weights, x, h, c):
    bias = weights["B"][0].reshape(2, -1).sum(axis=0)
    i, o, f, g = np.split(weights["W"][0] @ x + weights["R"][0] @ h + bias, 4)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_ledger_answers_as_its_reference():
    model = zoo.ledger()
    answers = model.answers()
    for row, length in enumerate(model.fed["lengths"]):
        expected = zoo.ledger_answers(model.fed["x"][row, :length].tolist(), int(model.fed["state.digest"][row]))
        assert answers["y"][row, :length].tolist() == expected
        assert answers["next_state.digest"][row] == expected[-1]


@pytest.mark.parametrize("wrong", [[1, 2, 4], [1, 2, 2, 3, 4], [1, 3, 2, 4], [0, 1, 2, 3, 4], [1, 2, 3, 5]])
def test_the_ledger_tells_lost_doubled_moved_and_changed_steps(wrong):
    assert zoo.ledger_answers(wrong)[-1] != zoo.ledger_answers([1, 2, 3, 4])[-1]
