import json
from importlib.metadata import version

import msgspec
import numpy as np
import pytest

from models.loading import load_checked
from models.manifest import Decode, Graphs
from models.repository import Repository
from tests.training.conftest import Finished, finish
from tests.training.export.test_scan import nudged
from training.building import Shape, build_model
from training.data.text import load_text
from training.errors import RunInvalid
from training.job import trained_model
from training.publish import publish
from training.run import GRAPH, RESULT, STEP, VERIFIED


def test_what_is_published_loads_and_gives_its_golden_answers(finished):
    (place,) = finished.repository.list()
    checked = load_checked(finished.repository, place)
    assert checked.golden_error <= checked.manifest.tolerance
    assert {name: row.shape for name, row in checked.initial.items()} == {"state.h": (12,), "state.c": (12,)}


def test_the_manifest_says_what_the_model_is(finished):
    (place,) = finished.repository.list()
    manifest = finished.repository.read_manifest(place)
    symbols = len(load_text(finished.run.recipe.data, shortest=1).symbols)
    assert (manifest.name, manifest.version, manifest.architecture, manifest.kind) == ("small", 1, "lstm", "step")
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.inputs] == [("x", "INT64", ("time",))]
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.outputs] == [
        ("y", "FP32", ("time", symbols))
    ]
    assert [(state.input, state.output, state.shape) for state in manifest.states] == [
        ("state.h", "next_state.h", (12,)),
        ("state.c", "next_state.c", (12,)),
    ]
    assert manifest.files.keys() == {"model.onnx", "golden.npz", "vocabulary.txt", "learning_curve.png"}
    assert (manifest.lengths, manifest.vocabulary) == ("lengths", "vocabulary.txt")
    assert manifest.decode == Decode("y", "x", "categorical")
    assert manifest.golden_source == "torch"


def test_the_manifest_says_what_was_measured_and_where_it_comes_from(finished):
    (place,) = finished.repository.list()
    manifest = finished.repository.read_manifest(place)
    result, verified = finished.run.read(RESULT, "train"), finished.run.read(VERIFIED, "verify")
    assert manifest.measured.metric == "bits_per_character"
    assert manifest.measured.value == result["held_out"]
    assert manifest.measured.parity_error == verified["parity_error"] <= manifest.tolerance == verified["tolerance"]
    assert manifest.measured.batch_invariant is verified["batch_invariant"] is True
    provenance = manifest.provenance
    assert (provenance.recipe, provenance.seed, provenance.data_licence) == ("small", 0, "the user's own")
    assert provenance.data == load_text(finished.run.recipe.data, shortest=1).digest
    assert provenance.libraries["torch"] == version("torch")
    assert provenance.libraries["onnx"] == version("onnx")


def test_the_vocabulary_has_a_line_for_each_logit(finished):
    (place,) = finished.repository.list()
    checked = load_checked(finished.repository, place)
    lines = checked.vocabulary.splitlines()
    assert len(lines) == checked.manifest.outputs[0].shape[1]
    assert json.loads(lines[-1]) == "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(scope="module")
def scanned(tmp_path_factory, text_file) -> Finished:
    """A run of a cell that ONNX has no node for, whose state counts the steps."""
    changed = {"architecture": "clockwork", "cell__periods": "[1, 3]", "training__updates": 20}
    return finish(tmp_path_factory.mktemp("scanned"), text_file, **changed)


def test_a_cell_without_a_native_node_is_published_with_its_step_graph(scanned):
    (place,) = scanned.repository.list()
    checked = load_checked(scanned.repository, place)
    assert checked.manifest.graphs == Graphs(main="model.onnx", step="step.onnx")
    assert checked.runner.has_step
    assert checked.golden_error <= checked.manifest.tolerance
    assert checked.manifest.architecture == "clockwork"
    assert {state.input: state.dtype for state in checked.manifest.states} == {"state.h": "FP32", "state.t": "INT64"}
    assert checked.manifest.measured.batch_invariant


def test_what_sequences_begin_with_is_published_where_it_is_not_zero(tmp_path, text_file):
    changed = {"architecture": "neural_turing_machine", "cell__slots": 6, "cell__width": 3, "training__updates": 20}
    run = finish(tmp_path, text_file, last="publish", **changed)
    (place,) = run.repository.list()
    checked = load_checked(run.repository, place)
    learned = trained_model(run.run).cell.init_state(1)
    assert learned["h"].any()
    for name, tensor in learned.items():
        np.testing.assert_array_equal(checked.initial[f"state.{name}"], tensor[0].detach().numpy())
    stored = {state.input: state.initial for state in checked.manifest.states}
    assert stored["state.M"] == "initial.npz:M"
    assert stored["state.r"] == "zeros"


def test_a_step_graph_that_differs_from_main_is_not_published(tmp_path, text_file):
    changed = {"architecture": "leaky", "training__updates": 20}
    run = finish(tmp_path, text_file, last="export", **changed)
    run.run.write_bytes(STEP, nudged(run.run.path(STEP).read_bytes()))
    run.job().through("publish")
    (place,) = run.repository.list()
    manifest = run.repository.read_manifest(place)
    assert manifest.graphs == Graphs(main="model.onnx")
    assert STEP not in manifest.files
    assert "verify: step.onnx differs from model.onnx in its last bits and is left out\n" in run.said


def test_a_step_graph_that_changed_after_its_verification_is_not_published(tmp_path, text_file):
    run = finish(tmp_path, text_file, last="verify", architecture="leaky", training__updates=20)
    run.run.write_bytes(STEP, nudged(run.run.path(STEP).read_bytes()))
    with pytest.raises(RunInvalid, match=r"step.onnx has changed since it was verified; `verify .*` comes first"):
        run.job().do("publish")
    assert run.repository.list() == []


def test_a_published_model_scores_the_held_out_text_as_training_measured(finished):
    (place,) = finished.repository.list()
    checked = load_checked(finished.repository, place)
    text = load_text(finished.run.recipe.data, shortest=1)
    x = text.encode(text.held_out).numpy()[None]
    state = {name: row[None] for name, row in checked.initial.items()}
    outputs, _ = checked.runner.run({"x": x[:, :-1]}, np.array([x.shape[1] - 1], np.int64), state)
    logits = outputs["y"][0].astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    bits = -logs[np.arange(len(logs)), x[0, 1:]].mean() / np.log(2)
    assert bits == pytest.approx(checked.manifest.measured.value, abs=1e-5)


def test_an_unverified_run_is_not_published(finished, tmp_path):
    model = build_model(finished.run.recipe, msgspec.convert(finished.run.read(RESULT, "train")["shape"], Shape))
    bare = type(finished.run)(tmp_path)
    bare.write(RESULT, {})
    with pytest.raises(RunInvalid, match="has not come through 'verify'"):
        publish(bare, model, Repository(tmp_path / "models"))
    assert Repository(tmp_path / "models").list() == []
    assert finished.run.path(GRAPH).exists()
