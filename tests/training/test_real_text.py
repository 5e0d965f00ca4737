"""A short run on a real data set, read where the machine has it."""

from collections.abc import Callable
from pathlib import Path

from models.loading import load_checked
from models.repository import Repository
from training.job import Job
from training.recipe import read_recipe
from training.run import RESULT, Run

SETTINGS = ("training.updates=150", "training.batch=32", "training.steps=50", "model.hidden_size=64", "name=plays")


def test_a_short_run_on_shakespeare_beats_the_frequencies_of_characters(
    data_folder: Callable[[str], Path], tmp_path: Path
):
    text = data_folder("tinyshakespeare") / "input.txt"
    recipe = read_recipe("charlm", [*SETTINGS, f"data.path={text}", "data.licence=public domain"])
    run, repository = Run.begin(tmp_path / "run", recipe), Repository(tmp_path / "models")
    Job(run, repository, say=lambda _: None).through("publish")
    result = run.read(RESULT, "train")
    assert result["held_out"] < result["baselines"]["unigram"] - 0.5
    served = load_checked(repository, repository.find("plays"))
    assert served.manifest.provenance.data_licence == "public domain"
    assert served.manifest.measured.batch_invariant
