import json
import re

import pytest

from training.cli import main
from training.recipe import read_recipe
from training.record import Reached, Record, Trained
from training.reproduce import told

GLOB = "mackey_glass_esn"


def reproduce(folder, *arguments: str) -> int:
    return main(["reproduce", *arguments, "--runs", str(folder / "runs"), "--record", str(folder / "record.json")])


def test_a_recipe_is_trained_with_several_seeds_once_and_told_with_their_spread(tmp_path, capsys):
    assert reproduce(tmp_path, GLOB, "--seeds", "2") == 0
    said = capsys.readouterr().out
    figure = r"\d\.\d+(e-\d+)?"
    assert re.search(rf"^1/1  {GLOB}: nrmse {figure} \({figure} to {figure}, 2 seeds\).*, \d+ s$", said, re.MULTILINE)
    before = (tmp_path / "record.json").read_bytes()
    [reached] = json.loads(before).values()
    assert list(reached["seeds"]) == ["0", "1"]
    assert len({one["weights"] for one in reached["seeds"].values()}) == 2
    results = [folder / "result.json" for folder in sorted((tmp_path / "runs").iterdir())]
    trained = [result.stat().st_mtime_ns for result in results]
    assert reproduce(tmp_path, GLOB, "--seeds", "2") == 0
    assert [result.stat().st_mtime_ns for result in results] == trained, "what was trained before is not trained again"
    assert (tmp_path / "record.json").read_bytes() == before


def test_quick_ones_are_those_that_the_project_recorded_so(tmp_path, capsys, monkeypatch):
    record = Record(tmp_path / "project.json")
    for name, seconds in ((GLOB, 30.0), ("charlm", 31.0)):
        record.add(read_recipe(name), Trained(1.0, seconds, "sha256:0", "a processor"))
    monkeypatch.setattr("training.reproduce.RECORD", record.path)
    assert reproduce(tmp_path, "--quick", "--seeds", "1") == 0
    said = capsys.readouterr().out
    assert f"1/1  {GLOB}" in said
    assert "charlm" not in said


def test_one_that_misses_what_it_is_held_to_is_an_error(tmp_path, capsys, monkeypatch):
    held = read_recipe(GLOB, ["figure.must=1e-9"])
    monkeypatch.setattr("training.reproduce.read_recipe", lambda name: held)
    assert reproduce(tmp_path, GLOB, "--seeds", "1") == 1
    said = capsys.readouterr()
    assert "must 1e-09 NOT REACHED" in said.out
    assert said.err == f"training: not reached: {GLOB}\n"


def test_one_that_fails_leaves_the_figures_of_the_others(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RECUR_DATA", str(tmp_path / "empty"))
    assert reproduce(tmp_path, GLOB, "laser_esn", "--seeds", "1") == 1
    said = capsys.readouterr()
    assert f"1/2  {GLOB}" in said.out
    assert "1 of 2 trainings failed, the first with: " in said.err
    assert list(Record(tmp_path / "record.json")._known) == [GLOB]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing_*",), "no recipe is named like 'nothing_*'"),
        (("--quick", "charlm"), "none of the recipes is recorded as a quick one"),
        ((GLOB, "--seeds", "0"), "--seeds 0: at least one is needed"),
        ((GLOB, "--jobs", "0"), "--jobs 0: at least one is needed"),
    ],
)
def test_what_cannot_be_reproduced_is_told_in_one_line(tmp_path, capsys, arguments, sentence):
    assert reproduce(tmp_path, *arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_miss_is_told_as_one():
    recipe = read_recipe("jsb_gru", ["figure.must=8", "figure.published=7"])
    record = {str(seed): Trained(figure, 9.0, "sha256:0", "a processor") for seed, figure in enumerate((8.1, 7.0, 8.2))}
    said = told(recipe, Reached("x", record))
    assert said == "jsb_gru: nll_per_frame 8.1 (7 to 8.2, 3 seeds), must 8 NOT REACHED, published 7, 9 s"
