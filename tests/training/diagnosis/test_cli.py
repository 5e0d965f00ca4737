import json

import pytest

from tests.training.conftest import overrides
from training.cli import main
from training.diagnosis import cli
from training.diagnosis.comparison import compare
from training.diagnosis.measure import Extent
from training.run import WEIGHTS

FEW = ["--sequences", "3", "--steps", "12"]


def said_in_a_line(capsys) -> str:
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_a_run_is_diagnosed_and_the_result_is_beside_its_model(finished, capsys):
    assert main(["diagnose", str(finished.run.folder), *FEW]) == 0
    said = capsys.readouterr().out
    assert "small (lstm), as trained: 3 sequences of the validation part, 12 steps back" in said
    assert "gate f" in said
    found = json.loads(finished.run.path("diagnosis.json").read_bytes())
    assert found["state"] == 24
    assert found["extent"] == {"sequences": 3, "steps": 12, "seed": 0}
    assert finished.run.path("diagnosis.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_finds_the_same_and_another_seed_other_places(finished, capsys):
    results = []
    for seed in (0, 0, 1):
        assert main(["diagnose", str(finished.run.folder), *FEW, "--seed", str(seed)]) == 0
        results.append(json.loads(finished.run.path("diagnosis.json").read_bytes()) | {"extent": None})
    assert results[0] == results[1] != results[2]


def test_a_recipe_is_trained_first_unless_its_beginning_is_asked_for(tmp_path, text_file, capsys):
    sets = [part for override in overrides(text_file, training__updates=4) for part in ("--set", override)]
    given = ["diagnose", "charlm", *sets, "--runs", str(tmp_path), *FEW]
    assert main([*given, "--initial"]) == 0
    [folder] = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} >= {"initial_diagnosis.json", "initial_diagnosis.png"}
    assert not (folder / WEIGHTS).exists()
    assert main(given) == 0
    before, after = (json.loads((folder / f"{name}diagnosis.json").read_bytes()) for name in ("initial_", ""))
    assert (before["trained"], after["trained"]) == (False, True)
    assert before["spectrum"]["radius"] != after["spectrum"]["radius"]
    capsys.readouterr()
    assert main(given) == 0
    assert "update" not in capsys.readouterr().out


def test_a_published_model_is_told_to_have_no_weights(finished, capsys):
    [place] = [one for one in finished.repository.list() if one.name == "small"]
    assert main(["diagnose", str(place.folder)]) == 2
    assert "is a published model, which has graphs and no weights to diagnose" in (line := said_in_a_line(capsys))
    assert "the recipe 'small'" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no recipe 'nothing'"),
        ([], "give a run's folder or a recipe"),
        (["adding_gru", "--page", "x.md"], "--compare, which alone has a --page"),
        (["adding_gru", "--compare"], "--compare has cells of its own"),
        (["adding_gru", "--steps", "1"], "--steps at least 2"),
    ],
)
def test_wrong_use_is_a_line(arguments, said, tmp_path, capsys):
    assert main(["diagnose", *arguments, "--runs", str(tmp_path)]) == 2
    assert said in said_in_a_line(capsys)


def test_a_folder_that_is_no_run_and_a_run_with_keys_to_change_are_lines(finished, tmp_path, capsys):
    assert main(["diagnose", str(tmp_path)]) == 1
    assert "is not a run folder" in said_in_a_line(capsys)
    assert main(["diagnose", str(finished.run.folder), "--set", "training.seed=1"]) == 2
    assert "whose recipe is fixed" in said_in_a_line(capsys)


def test_cells_are_compared_before_and_after_training(tmp_path):
    few = ("training.updates=2", "data.options.count=60", "data.options.steps=8", "model.hidden_size=4")
    said: list[str] = []
    compared = {"a": few, "b": (*few, "architecture=elman", "name=b")}
    found = compare(tmp_path, Extent(3, 8, 0), said.append, base="adding_gru", compared=compared)
    assert (tmp_path / "long_term_dependencies.png").exists()
    for pair in found.values():
        assert not pair.before.trained
        assert pair.after.trained
        assert pair.before.spectrum != pair.after.spectrum
    assert [one.after.architecture for one in found.values()] == ["gru", "elman"]


def test_the_help_teaches_what_is_measured(capsys):
    with pytest.raises(SystemExit):
        main(["diagnose", "--help"])
    assert cli.TEACHING in capsys.readouterr().out
