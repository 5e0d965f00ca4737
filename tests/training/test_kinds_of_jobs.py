"""Jobs of every task and of every kind of data, from the recipe to a model that loads."""

import json
import wave
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.loading import load_checked
from models.manifest import Decode
from models.repository import Repository
from training.cli import main
from training.errors import VerificationFailed, WrongUse
from training.job import Job
from training.recipe import Recipe, read_recipe
from training.run import RESULT, START, Run

SMALL = """
name = "small"
architecture = "{architecture}"
task = "{task}"

[data]
{data}

[model]
hidden_size = 8
{model}

[training]
updates = 6
batch = 4
learning_rate = 0.01
clip = 1.0
validate_every = 3
{training}
"""


def small(
    folder: Path, task: str, data: str, *, architecture: str = "gru", model: str = "", training: str = ""
) -> Recipe:
    path = folder / "small.toml"
    text = SMALL.format(architecture=architecture, task=task, data=data, model=model, training=training)
    path.write_text(text)
    return read_recipe(str(path))


def publish(folder: Path, recipe: Recipe):
    run, repository, said = Run.begin(folder / "run", recipe), Repository(folder / "models"), []
    Job(run, repository, say=said.append).through("publish")
    (place,) = repository.list()
    return load_checked(repository, place), run.read(RESULT, "train"), "".join(said)


def set_of(name: str, options: str) -> str:
    return f'kind = "set"\nname = "{name}"\noptions = {{ {options} }}'


JOBS = {
    "adding": ("regress", set_of("adding", "steps = 10, count = 40"), {}),
    "copy_memory": ("recall", set_of("copy_memory", "blank = 3, count = 40"), {"model": "embedding_size = 4"}),
    "associative_recall": ("recall_bits", set_of("associative_recall", "count = 40, tested = [2, 7]"), {}),
    "copy_bits": (
        "recall_bits",
        set_of("copy_bits", "longest = 3, count = 40, tested = [3, 5]"),
        {
            "architecture": "neural_turing_machine",
            "training": "accumulate = 2",
            "model": "\n[cell]\nslots = 8\nwidth = 4",
        },
    ),
    "temporal_order": ("classify", set_of("temporal_order", "steps = 12, count = 40"), {"model": "embedding_size = 4"}),
    "sines": ("forecast", set_of("sines", "steps = 20, count = 40"), {}),
    "mackey_glass": (
        "forecast",
        set_of("mackey_glass", "steps = 400"),
        {"training": "steps = 10", "model": "normalise = true\nembedding_size = 5"},
    ),
    "narma": (
        "regress",
        set_of("narma", "steps = 400"),
        {
            "architecture": "output_recurrence",
            "training": "steps = 10\nforcing_end = 0.5",
            "model": "readout = false\nnormalise = true\n\n[cell]\noutput_size = 1",
        },
    ),
    "keeping flow": (
        "classify",
        set_of("temporal_order", "steps = 12, count = 40"),
        {"architecture": "elman", "model": "embedding_size = 4", "training": "omega = 1.0\naccumulate = 2"},
    ),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_of_each_task_ends_in_a_model_that_loads(tmp_path, job):
    task, data, changed = JOBS[job]
    checked, result, said = publish(tmp_path, small(tmp_path, task, data, **changed))
    manifest = checked.manifest
    assert checked.golden_error <= manifest.tolerance
    assert manifest.measured.batch_invariant
    assert manifest.measured.value == result["held_out"]
    assert f"held-out {result['held_out']:.4g} {manifest.measured.metric.replace('_', ' ')}" in said
    assert (manifest.decode, manifest.vocabulary) == (None, None)
    if "embedding_size = 4" in changed.get("model", ""):
        assert (manifest.inputs[0].dtype, manifest.inputs[0].shape) == ("INT64", ("time",))
    else:
        assert (manifest.inputs[0].dtype, manifest.inputs[0].shape[0]) == ("FP32", "time")


def test_clients_send_raw_units_and_get_them(tmp_path):
    rows = ["x,y"] + [f"{1000 + 10 * np.sin(t / 3)},{500 + np.cos(t / 3)}" for t in range(200)]
    (tmp_path / "sensor.csv").write_text("\n".join(rows))
    data = f'kind = "table"\npath = "{tmp_path / "sensor.csv"}"\ninputs = ["x"]\ntargets = ["y"]'
    recipe = small(tmp_path, "regress", data, model="normalise = true", training="steps = 10")
    checked, *_ = publish(tmp_path, recipe)
    state = {name: row[None] for name, row in checked.initial.items()}
    x = np.full((1, 5, 1), 1000, np.float32)
    outputs, _ = checked.runner.run({"x": x}, np.array([5]), state)
    assert np.abs(outputs["y"] - 500).max() < 5


def test_a_folder_of_sound_becomes_a_model_with_labels(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        folder = tmp_path / "sounds" / ("low", "high")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(random.integers(-999, 999, 20 + number, dtype=np.int16).tobytes())
    data = f'kind = "wav"\npath = "{tmp_path / "sounds"}"'
    checked, _, said = publish(tmp_path, small(tmp_path, "classify", data))
    assert checked.labels.splitlines() == ['"high"', '"low"']
    assert checked.manifest.measured.metric == "accuracy"
    assert "sequences" in said


def test_series_of_numbers_that_follow_one_another_are_forecast_from_a_table(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(f"{t % 7},{t % 5}" for t in range(300)))
    data = f'kind = "table"\npath = "{tmp_path / "t.csv"}"\ninputs = ["a", "b"]'
    checked, *_ = publish(tmp_path, small(tmp_path, "forecast", data, training="steps = 10"))
    assert checked.manifest.outputs[0].shape == ("time", 2)
    assert checked.manifest.measured.metric == "nrmse"


def test_steps_of_many_sequences_are_refused_with_what_to_set(tmp_path):
    recipe = small(tmp_path, "regress", set_of("adding", "steps = 10, count = 40"), training="steps = 5")
    with pytest.raises(Exception, match=r"training.steps cuts one long series, and this data has 40 sequences"):
        publish(tmp_path, recipe)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (set_of("nothing", ""), "data.name: 'nothing' is not one of adding, "),
        (set_of("adding", "step = 5"), "data.options: there is no key 'step'; there is steps, count, seed"),
        (set_of("adding", "steps = 0"), "data.options.steps: Expected `int` >= 1"),
    ],
)
def test_a_set_or_an_option_that_is_not_there_is_named(tmp_path, data, sentence):
    with pytest.raises(Exception, match="recipe") as caught:
        small(tmp_path, "regress", data)
    assert sentence in str(caught.value)


def test_a_set_that_is_not_here_says_which_command_brings_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RECUR_DATA", str(tmp_path))
    recipe = small(tmp_path, "next_frame", set_of("polymusic", ""))
    with pytest.raises(Exception, match="`python -m training data fetch polymusic` brings it"):
        publish(tmp_path, recipe)


NAMES = {
    "a language at each step": ("next_symbol", "symbol", "true", "vector_to_sequence", "context_size = 18"),
    "a length": ("next_symbol", "length", "false", "countdown", ""),
    "a unit that stops": ("stop_unit", "symbol", "false", "gru", ""),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_are_learnt_in_every_way_that_they_may_begin_and_end(tmp_path, case, data_folder, capsys):
    data_folder("names")
    task, ends, languages, architecture, cell = NAMES[case]
    model = "embedding_size = 4" + (f"\n\n[cell]\n{cell}" if cell else "")
    data = set_of("names", f'ends = "{ends}", languages = {languages}')
    recipe = small(tmp_path, task, data, architecture=architecture, model=model)
    checked, result, _ = publish(tmp_path, recipe)
    assert (checked.manifest.graphs.start is not None) == (architecture != "gru")
    assert len(json.loads(checked.vocabulary.splitlines()[0])) == 1
    if task == "next_symbol":
        edge = result["edge"]
        end, lengths = (edge, ()) if ends == "symbol" else (None, tuple(result["lengths"]))
        assert checked.manifest.decode == Decode("y", "x", "categorical", start=edge, end=end, lengths=lengths)
        assert bool(lengths) == (ends == "length")
    about = ["--about", "Russian"] if languages == "true" else []
    capsys.readouterr()
    assert main(["sample", str(tmp_path / "run"), "--count", "3", *about]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["score", str(tmp_path / "run"), "Anna", *about]) == 0
    *steps, total = capsys.readouterr().out.splitlines()
    assert len(steps) == 5
    assert float(total.split()[1]) == pytest.approx(sum(float(step.split()[-1]) for step in steps), abs=1e-3)


def test_a_start_graph_that_differs_from_torch_fails_the_verification(tmp_path, data_folder):
    data_folder("names")
    data = set_of("names", 'ends = "length", languages = false')
    recipe = small(tmp_path, "next_symbol", data, architecture="countdown", model="embedding_size = 4")
    run, repository = Run.begin(tmp_path / "run", recipe), Repository(tmp_path / "models")
    job = Job(run, repository, say=lambda _: None)
    job.through("export")
    graph = onnx.load(run.path(START))
    (made,) = [node for node in graph.graph.node if node.output[0] == "state.left"]
    made.output[0] = "was"
    graph.graph.node.append(onnx.helper.make_node("Add", ["was", "was"], ["state.left"]))
    run.write_bytes(START, graph.SerializeToString())
    with pytest.raises(VerificationFailed, match="the start graph differs from torch"):
        job.do("verify")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sample", "--about", "Elvish"], "--about 'Elvish' is not one of Arabic, Chinese"),
        (["sample"], "--about '' is not one of Arabic"),
        (["score", "--about", "Dutch", "a\N{SNOWMAN}"], "the model has no symbol '\N{SNOWMAN}'"),
    ],
)
def test_what_cannot_be_drawn_or_scored_is_a_line(tmp_path, data_folder, capsys, arguments, sentence):
    data_folder("names")
    data = set_of("names", "languages = true")
    recipe = small(tmp_path, "next_symbol", data, architecture="vector_to_sequence", model=VECTOR)
    Job(Run.begin(tmp_path / "run", recipe), Repository(tmp_path / "models"), say=lambda _: None).through("train")
    assert main([arguments[0], str(tmp_path / "run"), *arguments[1:]]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.splitlines()) == 1


VECTOR = "embedding_size = 4\n\n[cell]\ncontext_size = 18"


def test_sequences_without_an_end_cannot_be_drawn(tmp_path, capsys):
    recipe = small(tmp_path, "regress", set_of("adding", "steps = 10, count = 40"))
    Job(Run.begin(tmp_path / "run", recipe), Repository(tmp_path / "models"), say=lambda _: None).through("train")
    assert main(["sample", str(tmp_path / "run")]) == 1
    assert "have no end of their own" in capsys.readouterr().err


def test_a_context_that_the_cell_does_not_take_is_told_with_both_sizes(tmp_path, data_folder):
    data_folder("names")
    recipe = small(tmp_path, "next_symbol", set_of("names", "languages = true"), model="embedding_size = 4")
    with pytest.raises(WrongUse, match="the data says 18 numbers of each sequence, and the cell takes 0"):
        publish(tmp_path, recipe)
