"""What a recipe that learns in seconds is told beside its figure; `make quick` holds the figures."""

import math

from models.repository import Repository
from training.job import Job
from training.recipe import read_recipe
from training.run import RESULT, Run


def test_a_reservoir_runs_free_on_a_chaotic_series(tmp_path):
    run = Run.begin(tmp_path / "run", read_recipe("mackey_glass_esn"))
    Job(run, Repository(tmp_path / "models"), say=lambda _: None).through("train")
    result = run.read(RESULT, "train")
    assert math.log10(result["further"]["nrmse_free_run_84"]) < -2.5
    assert result["held_out"] < 1e-3
