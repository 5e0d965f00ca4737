"""Searches with fakes of trainings, and with a few real ones."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.training.sweeps.fake_workers import FakeWorkers
from training.cli import main
from training.errors import RunInvalid
from training.recipe import read_recipe
from training.run import RESULT
from training.sweeps.command import command_of
from training.sweeps.plan import Space
from training.sweeps.ranges import Range, Search
from training.sweeps.search import Searched
from training.sweeps.sweeping import Sweep
from training.sweeps.work import validations_of
from training.sweeps.workers import Processes

RATES = {"training.learning_rate": Range(low=1e-4, high=1e-2, log=True), "model.hidden_size": Range(low=1, high=64)}


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr("training.sweeps.sweeping.LOOK_SECONDS", 0)


def space(recipe: str = "adding_gru", trials: int = 6, settings: dict[str, Range] = RATES, **more) -> Space:
    return Space((recipe,), search=Search(trials=trials, settings=settings), **more)


def sized(planned):
    """A loss that is the less the more units there are."""
    return [1 / planned.recipe.model.hidden_size]


def done(asked: Space, folder: Path, workers: FakeWorkers) -> Searched:
    searched = Searched(asked, folder, folder / "sweep")
    Sweep(searched, workers, lambda _: None).run()
    return searched


def sizes(works) -> list[int]:
    return [work.planned.recipe.model.hidden_size for work in works]


def test_each_recipe_and_combination_of_the_grid_has_so_many_trials_within_the_ranges(tmp_path):
    asked = Space(("adding_*",), grid={"training.batch": (8, 16)}, search=Search(trials=3, settings=RATES))
    searched = done(asked, tmp_path, FakeWorkers(sized, count=2))
    assert len(searched.works) == searched.total == 2 * 2 * 3
    for work in searched.works:
        assert 1 <= work.planned.recipe.model.hidden_size <= 64
        assert 1e-4 <= work.planned.recipe.training.learning_rate <= 1e-2
    assert len({work.folder for work in searched.works}) > 6
    assert len(searched.best()) == 4
    assert {work.planned.recipe.training.seed for work in searched.works} == {0}


@pytest.mark.parametrize(("recipe", "best"), [("adding_gru", min), ("vowels_gru", max)])
def test_the_best_trial_is_the_best_in_the_direction_of_the_recipes_metric(tmp_path, recipe, best):
    searched = done(space(recipe), tmp_path, FakeWorkers(sized))
    [found] = searched.best()
    finished = [work for work in searched.works if work.standing == "done"]
    assert sized(found.work.planned) == best(map(sized, (work.planned for work in finished)))
    assert "on the validation part" in found.reached


def test_the_figure_of_a_trial_is_that_of_its_lowest_loss_which_is_the_model_that_is_kept(tmp_path):
    [found] = done(space(trials=1), tmp_path, FakeWorkers(lambda _: [0.5, 0.25, 0.75])).best()
    assert found.reached == "mean squared error 0.25 on the validation part"


def test_of_what_a_model_writes_by_itself_the_loss_is_made_lower(tmp_path):
    [found] = done(space("sorting_pointer", trials=2), tmp_path, FakeWorkers(lambda _: [0.5])).best()
    recipe = read_recipe("sorting_pointer")
    assert found.reached == "loss 0.5 on the validation part", recipe.task


def test_a_trial_that_is_worse_than_the_median_is_interrupted_and_no_failure(tmp_path):
    def course(planned):
        return [0.1] * 3 if len(workers.begun) <= 5 else [0.9, 0.8, 0.7]

    workers = FakeWorkers(course)
    searched = done(space(trials=7), tmp_path, workers)
    assert [work.standing for work in searched.works] == ["done"] * 5 + ["pruned"] * 2
    assert workers.interrupted == searched.works[5:]
    assert [len(validations_of(work.folder)) for work in searched.works] == [3] * 5 + [1] * 2


def test_a_trial_that_is_better_than_the_median_is_trained_to_its_end(tmp_path):
    workers = FakeWorkers(lambda _: [0.9 / len(workers.begun)] * 3)
    searched = done(space(trials=8), tmp_path, workers)
    assert {work.standing for work in searched.works} == {"done"}


def test_a_search_that_was_ended_anywhere_goes_on_with_the_trials_that_it_had(tmp_path):
    class GoneError(Exception):
        pass

    def course(planned):
        if len(workers.begun) == 4:
            raise GoneError
        return sized(planned)

    workers = FakeWorkers(course)
    with pytest.raises(GoneError):
        done(space(trials=6), tmp_path, workers)
    again = FakeWorkers(sized)
    searched = done(space(trials=6), tmp_path, again)
    assert again.begun[0].folder == workers.begun[3].folder, "what was not done is done first, with its settings"
    assert len(again.begun) == 3
    assert [work.folder for work in searched.works] == [work.folder for work in (*workers.begun[:3], *again.begun)]
    assert len({work.folder for work in searched.works}) == 6, "no settings are chosen twice"
    once_more = FakeWorkers(sized)
    assert len(done(space(trials=6), tmp_path, once_more).works) == 6
    assert not once_more.begun
    assert len(done(space(trials=8), tmp_path, once_more).works) == 8
    assert len(once_more.begun) == 2, "more trials are of the same search"


def test_a_search_is_the_same_with_the_same_seed_and_another_with_another(tmp_path):
    chosen = [
        sizes(done(Space(("adding_gru",), search=Search(5, RATES, seed)), tmp_path / name, FakeWorkers(sized)).works)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_failed_trial_is_told_and_tried_again_with_its_settings_by_the_next_sweep(tmp_path):
    failing = FakeWorkers(sized, code=1)
    searched = done(space(trials=2), tmp_path, failing)
    assert [work.standing for work in searched.works] == ["failed"] * 2
    assert not searched.best()
    again = FakeWorkers(sized)
    assert [work.standing for work in done(space(trials=2), tmp_path, again).works] == ["done"] * 2
    assert sizes(again.begun) == sizes(failing.begun)


def test_a_trial_whose_run_was_deleted_is_trained_again(tmp_path):
    [first, _] = done(space(trials=2), tmp_path, FakeWorkers(sized)).works
    (first.folder / RESULT).unlink()
    again = FakeWorkers(sized)
    assert len(done(space(trials=2), tmp_path, again).works) == 2
    assert [work.folder for work in again.begun] == [first.folder]


def test_trials_with_the_same_settings_wait_for_each_other(tmp_path):
    workers = FakeWorkers(lambda _: [0.5] * 3, count=3)
    searched = done(space(trials=3, settings={"model.hidden_size": Range(choices=(4,))}), tmp_path, workers)
    assert [work.standing for work in searched.works] == ["done"] * 3
    assert len({work.folder for work in searched.works}) == 1


def test_a_run_that_an_older_version_began_is_told_so(tmp_path):
    def without_figures(planned):
        for work in workers.begun:
            (work.folder / "log.jsonl").write_text('{"update": 5, "train": 1.0, "validation": 0.5}\n')
        return []

    workers = FakeWorkers(without_figures)
    with pytest.raises(RunInvalid, match="was begun by an older version; delete that folder"):
        done(space(), tmp_path, workers)


FEW = 'recipes = ["adding_gru"]\n[set]\ntraining.updates = 20\ntraining.validate_every = 10\ndata.options.count = 200\n'


@pytest.mark.e2e
def test_trials_are_trained_in_processes_and_the_best_is_told_with_how_to_train_it(tmp_path, capsys):
    (tmp_path / "space.toml").write_text(
        FEW + "[search]\ntrials = 2\n[search.settings]\nmodel.hidden_size = {low = 2, high = 9}\n"
    )
    assert main(["sweep", str(tmp_path / "space.toml"), "--runs", str(tmp_path / "runs"), "--jobs", "2"]) == 0
    said = capsys.readouterr().out
    [row] = re.findall(r"^\| adding_gru trial (\d) hidden_size=(\d) \(best\) \| ([\d.]+) \|", said, re.MULTILINE)
    assert f"best of adding_gru: trial {row[0]} hidden_size={row[1]}, mean squared error {row[2]} on the" in said
    assert f"--set model.hidden_size={row[1]} --set training.seed=0 --runs {tmp_path / 'runs'}" in said
    assert "2 of 2 done; all of it is in " in said
    [folder] = (tmp_path / "runs" / "sweeps").iterdir()
    assert [one.get("best", False) for one in json.loads((folder / "results.json").read_text())].count(True) == 1
    command = said.splitlines()[-1].split()
    assert main([*command[3:], "--until", "train"]) == 0
    assert "train: done before" in capsys.readouterr().out


@pytest.mark.e2e
def test_a_process_that_trains_is_pruned_after_its_checkpoint(tmp_path):
    slow = {"training.updates": 4000, "training.validate_every": 10, "data.options.count": 200}
    done(space(trials=5, set=slow), tmp_path, FakeWorkers(lambda _: [1e-6] * 3))
    processes = Processes(1, lambda planned: command_of(planned, tmp_path))
    work = done(space(trials=6, set=slow), tmp_path, processes).works[-1]
    assert work.standing == "pruned"
    assert work.last_said().startswith("stopped; ")
    assert (work.folder / "checkpoint.pt").exists()
    assert len(validations_of(work.folder)) < 400


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[search.settings]\n", "search.settings is empty"),
        ("[search.settings]\nunits = {low = 1, high = 2}\n", "there is no key 'units'"),
        ("[search.settings]\nmodel.units = {low = 1, high = 2}\n", "model: there is no key 'units'"),
        ("[search.settings]\nmodel.hidden_size = {low = 0, high = 2}\n", "model.hidden_size: Expected `int` >= 1"),
        ("[search.settings]\nmodel.hidden_size = {choices = [2, 0]}\n", "model.hidden_size: Expected `int` >= 1"),
        ("[search.settings]\nmodel.hidden_size = {choices = []}\n", "choices is empty"),
        (
            "[search.settings]\ntraining.updates = {low = 1, high = 2}\n",
            "training.updates is in [set] and in [search.settings]: take it out of one of them",
        ),
        (
            "[search.settings]\ntraining.batch = {low = 1, high = 2}\n[grid]\ntraining.batch = [8]\n",
            "training.batch is in [grid] and in [search.settings]: take it out of one of them",
        ),
    ],
)
def test_a_search_that_cannot_be_is_told_in_one_line(tmp_path, capsys, content, sentence):
    (tmp_path / "space.toml").write_text(f"{FEW}[search]\ntrials = 2\n{content}")
    assert main(["sweep", str(tmp_path / "space.toml"), "--runs", str(tmp_path / "runs")]) == 2
    wrong = capsys.readouterr().err
    assert sentence in wrong
    assert wrong.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_seeds_beside_a_search_are_refused(tmp_path, capsys):
    (tmp_path / "space.toml").write_text(
        f"seeds = 2\n{FEW}[search]\ntrials = 2\n[search.settings]\nmodel.hidden_size = {{choices = [2]}}\n"
    )
    assert main(["sweep", str(tmp_path / "space.toml"), "--runs", str(tmp_path / "runs")]) == 2
    assert "seeds = 2 beside [search]" in capsys.readouterr().err


def test_without_optuna_a_search_says_what_to_install_and_other_sweeps_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in ("training.sweeps.search", "training.sweeps.study"):
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "space.toml").write_text(
        f"{FEW}[search]\ntrials = 2\n[search.settings]\nmodel.hidden_size = {{choices = [2]}}\n"
    )
    assert main(["sweep", str(tmp_path / "space.toml"), "--runs", str(tmp_path / "runs")]) == 2
    wrong = capsys.readouterr().err
    assert wrong == "training: [search] needs optuna, which is not installed: pip install '.[search]'\n"
