import json

import pytest

from tests.conftest import ROOT
from training.errors import RunInvalid
from training.recipe import read_recipe
from training.record import Record, Trained, is_reached, machine, settings_of, with_seed


def trained(figure: float, seconds: float = 1.0) -> Trained:
    return Trained(figure, seconds, "sha256:0", "a processor")


def test_each_seed_of_a_recipe_is_kept_and_their_median_told(tmp_path):
    record, recipe = Record(tmp_path / "record.json"), read_recipe("vowels_gru")
    assert record.of(recipe) is None
    for seed, figure in ((2, 0.9), (0, 0.7), (1, 0.8)):
        record.add(with_seed(recipe, seed), trained(figure, seconds=seed))
    found = Record(tmp_path / "record.json").of(recipe)
    assert (found.median, found.figures, found.seconds, list(found.seeds)) == (0.8, [0.7, 0.8, 0.9], 1, ["0", "1", "2"])


def test_a_seed_that_is_trained_again_takes_the_place_of_its_figure(tmp_path):
    record, recipe = Record(tmp_path / "record.json"), read_recipe("vowels_gru")
    record.add(recipe, trained(0.5))
    assert record.add(recipe, trained(0.6)).figures == [0.6]


def test_what_other_settings_reached_is_nothing_of_a_recipe(tmp_path):
    record = Record(tmp_path / "record.json")
    record.add(read_recipe("vowels_gru"), trained(0.5))
    changed = read_recipe("vowels_gru", ["model.hidden_size=3"])
    assert record.of(changed) is None
    assert record.add(changed, trained(0.4)).figures == [0.4]
    assert record.of(read_recipe("vowels_gru")) is None


def test_settings_are_alike_whatever_the_seed_and_what_the_recipe_is_held_to():
    recipe = read_recipe("vowels_gru")
    assert settings_of(with_seed(recipe, 5)) == settings_of(recipe)
    assert settings_of(read_recipe("vowels_gru", ["figure.must=0.1"])) == settings_of(recipe)
    assert settings_of(read_recipe("vowels_gru", ["training.batch=3"])) != settings_of(recipe)


@pytest.mark.parametrize(("name", "must", "good", "bad"), [("vowels_gru", 0.9, 0.9, 0.89), ("jsb_gru", 8.9, 8.9, 8.91)])
def test_a_figure_is_reached_from_the_side_that_is_better(name, must, good, bad):
    recipe = read_recipe(name, [f"figure.must={must}"])
    assert [is_reached(recipe, figure) for figure in (good, bad)] == [True, False]


def test_a_recipe_that_is_held_to_nothing_neither_reaches_nor_misses():
    assert is_reached(read_recipe("names_elman"), 1.0) is None


@pytest.mark.parametrize("content", ["", "[]", '{"a": {"settings": 3}}'])
def test_a_file_that_is_no_record_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(RunInvalid, match=r"record\.json' is no record of figures"):
        Record(path)


def test_the_projects_own_record_tells_every_processor_and_digest():
    for one in json.loads((ROOT / "docs" / "reproduction.json").read_text()).values():
        for seed in one["seeds"].values():
            assert seed["machine"]
            assert seed["weights"].startswith("sha256:")


def test_a_machine_is_named():
    assert machine()
