"""Sweeps of small trainings, each in a process of its own, as a person would have them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from matplotlib.image import imread

from tests.conftest import ROOT
from training.cli import main
from training.run import RESULT
from training.sweeps.plan import Space, plan
from training.sweeps.watching import progress_of
from training.sweeps.work import Work
from training.trainer import LOG

FEW = ("--set", "training.updates=20", "--set", "training.validate_every=10", "--set", "data.options.count=200")
SLOW = ("--set", "training.updates=4000", "--set", "training.validate_every=5", "--set", "data.options.count=200")


def sweep(folder: Path, *arguments: str) -> int:
    return main(["sweep", *arguments, "--runs", str(folder), "--jobs", "2"])


def test_settings_and_seeds_are_trained_in_processes_and_told_together(tmp_path, capsys):
    asked = ("adding_gru", "--grid", "model.hidden_size=4,8", *FEW)
    assert sweep(tmp_path, *asked) == 0
    said = capsys.readouterr().out
    for size in (4, 8):
        assert re.search(rf"^done +adding_gru hidden_size={size} seed 0  0\.\d+ mean squared error", said, re.MULTILINE)
        assert re.search(rf"^\| adding_gru hidden_size={size} \| 0\.\d+ \| mean_squared_error", said, re.MULTILINE)
    [folder] = (tmp_path / "sweeps").iterdir()
    assert str(folder) in said
    told = json.loads((folder / "results.json").read_text())
    assert [(one["settings"], len(one["figures"]), len(one["validations"])) for one in told] == [
        ("hidden_size=4", 1, 1), ("hidden_size=8", 1, 1),
    ]  # fmt: skip
    assert imread(folder / "results.png").shape[1] > 900
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob(f"*/{RESULT}")}
    assert len(finished) == 2
    assert sweep(tmp_path, *asked) == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "what is done is not done again"


def test_one_that_fails_is_told_in_a_line_and_the_others_go_on(tmp_path, capsys):
    assert sweep(tmp_path, "adding_gru", "--seeds", "2", "--set", "training.omega=1", *FEW) == 1
    said, wrong = capsys.readouterr()
    assert said.count("failed ") == 2
    assert re.fullmatch(r"training: 2 of 2 trainings failed, the first with: .*omega.*\n", wrong)


def children_of(process: subprocess.Popen[str]) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def begun(folder: Path) -> subprocess.Popen[str]:
    """A sweep of two trainings that take long, once both have written a checkpoint."""
    command = [sys.executable, "-m", "training", "sweep", "adding_gru", "--seeds", "2", *SLOW, "--runs", str(folder)]
    process = subprocess.Popen(
        [*command, "--jobs", "2"], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 120
    while len(list(folder.glob("*/checkpoint.pt"))) < 2:
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


def test_a_sweep_that_is_stopped_leaves_checkpoints_and_no_process(tmp_path):
    process = begun(tmp_path)
    children = children_of(process)
    process.send_signal(signal.SIGINT)
    _, wrong = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from the checkpoint" in wrong
    assert len(children) == 2
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    for output in tmp_path.glob("*/output.log"):
        assert "stopped; " in output.read_text()


def test_a_training_that_is_killed_goes_on_from_its_checkpoint(tmp_path):
    process = begun(tmp_path)
    os.kill(children_of(process)[0], signal.SIGKILL)
    said = ""
    while "waiting" not in said:
        said = process.stdout.readline()
        assert said, "the sweep ended"
    again = process.stdout.readline()
    assert again.startswith("training ")
    update = re.search(r"update (\d+)/4000, validation [\d.]+, killed 1 times", again)
    assert update is not None
    assert int(update[1]) >= 5
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing_*",), "no recipe is named like 'nothing_*'"),
        (("adding_gru", "--grid", "training.batch"), "--grid training.batch: KEY=VALUE,VALUE is expected"),
        (("adding_gru", "--grid", "training.batch="), "grid.training.batch has no value"),
        (("adding_gru", "--set", "x"), "--set x: TABLE.KEY=VALUE is expected"),
        (("adding_gru", "--seeds", "0"), "--seeds 0: at least one is needed"),
        (("adding_gru", "--jobs", "0"), "--jobs 0: at least one is needed"),
        (("missing.toml",), "space 'missing.toml' cannot be read"),
    ],
)
def test_a_sweep_that_cannot_be_is_told_in_one_line(tmp_path, capsys, arguments, sentence):
    assert main(["sweep", "--runs", str(tmp_path), *arguments]) == 2
    wrong = capsys.readouterr().err
    assert sentence in wrong
    assert wrong.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_log_that_is_being_written_is_no_reason_to_stop(tmp_path):
    [planned] = plan(Space(("adding_gru",)))
    work = Work(planned, tmp_path)
    for content in ("", '{"update": 3, "valid'):
        (tmp_path / LOG).write_text(content)
        assert progress_of(work) == ""
    (tmp_path / LOG).write_text('{"update": 3, "train": 1.0, "validation": 0.5}\n')
    assert progress_of(work) == "update 3/1600, validation 0.5"


def test_a_file_that_says_all_takes_nothing_beside_it(tmp_path, capsys):
    space = tmp_path / "space.toml"
    space.write_text('# which architecture is best\nrecipes = ["adding_gru"]\n')
    assert main(["sweep", str(space), "--seeds", "2"]) == 2
    assert "says all of it" in capsys.readouterr().err
