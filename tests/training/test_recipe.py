import msgspec
import pytest
from torch import nn

from training.architectures import ARCHITECTURES
from training.architectures.leaky import Leaky
from training.architectures.lstm import LSTM
from training.architectures.stack import Stack
from training.building import Shape, build_model
from training.errors import WrongUse
from training.recipe import RECIPES, read_recipe, recipe_names

SYMBOLS = Shape(symbols=10, features=0, outputs=10, classes=True)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_builds_its_model(name):
    recipe = read_recipe(name)
    assert recipe.name == name
    numbers = Shape(symbols=0, features=3, outputs=1, classes=False)
    if recipe.task == "transcribe":
        numbers = Shape(symbols=0, features=3, outputs=10, classes=True)
    symbols = SYMBOLS
    if recipe.task in ("rewrite", "translate"):
        symbols = msgspec.structs.replace(SYMBOLS, source_symbols=5)
    elif "symbols" in ARCHITECTURES[recipe.architecture].options:
        sentences = msgspec.structs.replace(SYMBOLS, fields=3)
        assert build_model(recipe, sentences).step_shape == (3,)
        return
    reads_symbols = recipe.model.embedding_size or symbols.source_symbols
    model = build_model(recipe, symbols if reads_symbols else numbers)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0


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
        ("training.clip=inf", "training.clip: Expected `float` <= 1.7976931348623157e+308, got inf"),
        ("training.updatez=5", "training: there is no key 'updatez'; there is solver, updates, batch, steps"),
        ("data.file=x", "data: there is no key 'file'; there is kind, path, licence"),
        (
            "updates=5",
            "there is no key 'updates'; there is name, architecture, data, model, training, task, cell, export, figure",
        ),
        ("data.kind=picture", "data.kind: Invalid value 'picture'"),
        ("export.int8=1", "export.int8: Expected `bool`, got `int`"),
        ("export.int4=true", "export: there is no key 'int4'; there is int8"),
        ("train.batch=5", "--set train.batch: there is no table 'train'; there is name, architecture"),
        ("name.x=5", "there is no table 'name'"),
        ("training.batch", "TABLE.KEY=VALUE is expected"),
        ("=5", "TABLE.KEY=VALUE is expected"),
        ("architecture=transformer", "architecture 'transformer' is not one of attention, "),
        ("name=../elsewhere", "name '../elsewhere' must be"),
    ],
)
def test_a_wrong_override_is_answered_in_one_line_that_names_the_key(override, sentence):
    with pytest.raises(WrongUse) as caught:
        read_recipe("charlm", [override])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_sets_the_options_of_its_architecture():
    recipe = read_recipe("charlm", ["architecture=leaky", "cell.alpha=0.5", "cell.learned=true"])
    assert recipe.cell == {"alpha": 0.5, "learned": True}
    cell = build_model(recipe, SYMBOLS).cell
    assert isinstance(cell, Leaky)
    assert cell.alpha.item() == pytest.approx(0.5)
    assert isinstance(cell.a, nn.Parameter)


def test_a_recipe_names_the_layers_of_a_stack():
    layers = 'cell.layers=["lstm", {architecture = "leaky", alpha = 0.5}]'
    recipe = read_recipe("charlm", ["architecture=stack", layers, "cell.skip=residual"])
    cell = build_model(recipe, SYMBOLS).cell
    assert isinstance(cell, Stack)
    assert [type(layer) for layer in cell.layers] == [LSTM, Leaky]


def test_options_change_the_digest_and_what_is_said_as_by_default_does_not():
    plain, other = read_recipe("charlm", ["architecture=leaky"]), ["architecture=leaky", "cell.alpha=0.5"]
    assert read_recipe("charlm", other).digest != plain.digest
    same = ["task=next_symbol", "training.accumulate=1", "training.schedule=linear"]
    assert read_recipe("charlm", same).digest == read_recipe("charlm").digest


def test_what_a_recipe_is_held_to_changes_no_digest():
    assert read_recipe("charlm", ["figure.must=1.5"]).digest == read_recipe("charlm").digest


@pytest.mark.parametrize(
    ("architecture", "option", "sentence"),
    [
        ("leaky", "cell.alpha=2", "cell.alpha: Expected `float` < 1.0, got 2"),
        ("leaky", "cell.alpha=much", "cell.alpha: Expected `float`, got `str`"),
        ("leaky", "cell.beta=1", "cell: there is no key 'beta'; there is alpha, per_unit, learned"),
        ("lstm", "cell.alpha=0.5", "cell: there is no key 'alpha'; there is none"),
        ("gru", "cell.reset=never", "cell.reset: Invalid enum value 'never'"),
        ("clockwork", "cell.periods=[1, 0]", "cell.periods[1]: Expected `int` >= 1"),
        ("stack", 'cell.layers=["grove"]', "cell.layers: 'grove' is not one of attention, "),
        ("stack", 'cell.layers=[{architecture="leaky", beta=1}]', "there is no key 'beta'"),
    ],
)
def test_a_wrong_option_is_answered_in_one_line_that_names_the_key(architecture, option, sentence):
    with pytest.raises(WrongUse) as caught:
        read_recipe("charlm", [f"architecture={architecture}", option])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "option", "sentence"),
    [
        ("leaky", ["cell.alpha=0", "cell.learned=true"], "an alpha of 0 cannot be learned"),
        ("skip", ["cell.delays=[2, 2]"], "delays [2, 2] must be one or more steps, each once"),
        ("skip", ["cell.delays=[]"], "delays [] must be"),
        ("clockwork", ["cell.periods=[]"], "periods must be one or more"),
        ("clockwork", ["model.hidden_size=3"], "3 hidden units do not make 4 groups"),
        ("stack", ["cell.layers=[]"], "layers must be one or more"),
        ("deep_transition", ["cell.transition=1"], "a shortcut goes around layers of the transition"),
    ],
)
def test_options_that_do_not_fit_each_other_are_wrong_use(architecture, option, sentence):
    recipe = read_recipe("charlm", [f"architecture={architecture}", *option])
    with pytest.raises(WrongUse) as caught:
        build_model(recipe, SYMBOLS)
    assert sentence in str(caught.value)


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
