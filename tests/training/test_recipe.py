import pytest

from training.errors import WrongUse
from training.job import build_model
from training.recipe import RECIPES, read_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_builds_its_model(name):
    recipe = read_recipe(name)
    assert recipe.name == name
    assert sum(parameter.numel() for parameter in build_model(recipe, symbols=10).parameters()) > 0


def test_charlm_ships():
    assert "charlm" in recipe_names()


def test_a_recipe_is_read_by_its_path_too(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((RECIPES / "charlm.toml").read_text())
    assert read_recipe(str(path)) == read_recipe("charlm")


def test_an_override_changes_one_key_and_the_digest():
    recipe, changed = read_recipe("charlm"), read_recipe("charlm", ["training.updates=7"])
    assert changed.training.updates == 7
    assert changed.model == recipe.model
    assert changed.digest != recipe.digest
    assert read_recipe("charlm", ["training.updates=7"]).digest == changed.digest


def test_what_is_made_of_the_trained_model_changes_no_digest_so_that_it_is_not_trained_again():
    recipe, changed = read_recipe("charlm"), read_recipe("charlm", ["export.int8=true"])
    assert (recipe.export.int8, changed.export.int8) == (False, True)
    assert changed.digest == recipe.digest
    assert changed.int8_name == "charlm-int8"


def test_the_export_table_may_be_left_out_and_still_be_changed(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((RECIPES / "charlm.toml").read_text().partition("[export]")[0])
    assert read_recipe(str(path)) == read_recipe("charlm")
    assert read_recipe(str(path), ["export.int8=true"]).export.int8


def test_a_name_too_long_for_its_variant_is_told_before_anything_is_trained():
    name = "a" * 124
    assert read_recipe("charlm", [f"name={name}"]).name == name
    with pytest.raises(WrongUse, match=f"name '{name}-int8' must be 1 to 128 letters"):
        read_recipe("charlm", [f"name={name}", "export.int8=true"])


def test_an_override_is_typed_as_toml_and_a_bare_word_is_a_string():
    recipe = read_recipe("charlm", ["training.learning_rate=1e-2", "data.path=/a b/c.txt", 'name="other"'])
    assert recipe.training.learning_rate == 0.01
    assert (recipe.data.path, recipe.name) == ("/a b/c.txt", "other")


def test_the_last_of_two_overrides_wins():
    assert read_recipe("charlm", ["training.seed=1", "training.seed=2"]).training.seed == 2


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.batch=many", "training.batch: Expected `int`, got `str`"),
        ("training.batch=1.5", "training.batch: Expected `int`, got `float`"),
        ("training.batch=0", "training.batch: Expected `int` >= 1, got 0"),
        ("model.dropout=1.0", "model.dropout: Expected `float` < 1.0, got 1.0"),
        ("training.learning_rate=nan", "training.learning_rate: Expected `float` > 0.0, got nan"),
        ("training.updatez=5", "training: there is no key 'updatez'; there is updates, batch, steps"),
        ("data.file=x", "data: there is no key 'file'; there is kind, path, licence"),
        ("updates=5", "there is no key 'updates'; there is name, architecture, data, model, training"),
        ("data.kind=picture", "data.kind: Invalid value 'picture'"),
        ("export.int8=1", "export.int8: Expected `bool`, got `int`"),
        ("export.int4=true", "export: there is no key 'int4'; there is int8"),
        ("train.batch=5", "--set train.batch: there is no table 'train'; there is name, architecture"),
        ("name.x=5", "there is no table 'name'"),
        ("training.batch", "TABLE.KEY=VALUE is expected"),
        ("=5", "TABLE.KEY=VALUE is expected"),
        ("architecture=transformer", "architecture 'transformer' is not one of lstm"),
        ("name=../elsewhere", "name '../elsewhere' must be"),
    ],
)
def test_a_wrong_override_is_answered_in_one_line_that_names_the_key(override, sentence):
    with pytest.raises(WrongUse) as caught:
        read_recipe("charlm", [override])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_answered_with_those_that_exist():
    with pytest.raises(WrongUse, match=r"no recipe 'charlmm'; there is .*charlm.*\.toml file"):
        read_recipe("charlmm")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'name = "x"\narchitecture = ', "cannot be read"),
        (b"\xff", "cannot be read"),
        (b'name = "x"', "missing required field `architecture`"),
    ],
)
def test_a_file_that_is_no_recipe_is_answered_in_one_line(tmp_path, content, sentence):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(WrongUse) as caught:
        read_recipe(str(path))
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
