import numpy as np
import pytest

from models import cli
from models.loading import load_checked
from models.manifest import Quantized
from models.probe import probe
from tests.training.conftest import Finished, finish
from training.data.text import load_text


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, text_file) -> Finished:
    """A run whose recipe asks for int8, for tests that only read it."""
    return finish(tmp_path_factory.mktemp("quantized"), text_file, export__int8="true")


def models_of(run: Finished):
    """The model and its variant, loaded as the server loads them."""
    return [load_checked(run.repository, place) for place in run.repository.list()]


def held_out_of(run: Finished) -> np.ndarray:
    """The held-out symbols, `[1, time]`."""
    text = load_text(run.run.recipe.data, shortest=1)
    return text.encode(text.held_out).numpy()[None]


def run_from_start(checked, x: np.ndarray) -> dict[str, np.ndarray]:
    state = {name: np.stack([row] * len(x)) for name, row in checked.initial.items()}
    outputs, states = checked.runner.run({"x": x}, np.full(len(x), x.shape[1]), state)
    return outputs | states


def test_the_variant_is_a_model_of_its_own_beside_the_other(quantized):
    assert [(place.name, place.version) for place in quantized.repository.list()] == [("small", 1), ("small-int8", 1)]
    whole, small = models_of(quantized)
    assert small.golden_error == 0.0
    assert small.vocabulary == whole.vocabulary
    assert len(quantized.repository.open(quantized.repository.list()[1]).files["model.onnx"]) < whole.size


def test_the_manifest_says_what_it_was_made_of_and_what_was_measured_of_it(quantized):
    whole, small = (checked.manifest for checked in models_of(quantized))
    assert small.quantized == Quantized(of="small", graph=whole.files["model.onnx"], to="int8")
    assert whole.quantized is None
    assert (small.golden_source, whole.golden_source) == ("onnxruntime", "torch")
    assert small.tolerance == 2 * small.measured.parity_error > 2 * whole.measured.parity_error
    assert (small.measured.batch_invariant, whole.measured.batch_invariant) == (False, True)
    assert small.measured.metric == whole.measured.metric
    for same in ("architecture", "kind", "graphs", "inputs", "outputs", "lengths", "states", "provenance"):
        assert getattr(small, same) == getattr(whole, same)


def test_its_figure_is_measured_anew_through_the_runner(quantized):
    whole, small = models_of(quantized)
    x = held_out_of(quantized)
    logits = run_from_start(small, x[:, :-1])["y"][0].astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    bits = -logs[np.arange(len(logs)), x[0, 1:]].mean() / np.log(2)
    assert small.manifest.measured.value == pytest.approx(bits, abs=1e-6)
    assert small.manifest.measured.value != whole.manifest.measured.value
    assert small.manifest.measured.value == pytest.approx(whole.manifest.measured.value, abs=0.05)


def test_its_answers_are_within_the_recorded_error_of_the_model_it_was_made_of(quantized):
    whole, small = models_of(quantized)
    x = held_out_of(quantized)[:, :240].reshape(8, 30)
    found, expected = run_from_start(small, x), run_from_start(whole, x)
    worst = max(float(np.abs(found[name] - array).max()) for name, array in expected.items())
    assert 0 < worst <= small.manifest.measured.parity_error


def test_its_golden_answers_hold_in_more_threads_than_they_were_made_with(quantized):
    place = quantized.repository.find("small-int8")
    manifest = quantized.repository.read_manifest(place)
    assert load_checked(quantized.repository, place, threads=2).golden_error <= manifest.tolerance


@pytest.mark.e2e
def test_it_passes_the_servers_trial_in_a_process_of_its_own(quantized):
    probe(quantized.repository, quantized.repository.find("small-int8"))


def test_it_is_shown_and_checked_as_any_model(quantized, capsys):
    where = ["--repository", str(quantized.repository.root)]
    assert cli.main(["check", "small-int8", *where]) == 0
    assert "golden answers within 0 " in capsys.readouterr().out
    assert cli.main(["show", "small-int8", *where]) == 0
    said = capsys.readouterr().out
    assert "batch_invariant False" in said
    assert "quantized: of small, graph sha256:" in said
