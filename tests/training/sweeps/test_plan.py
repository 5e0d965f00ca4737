import pytest

from training.errors import WrongUse
from training.recipe import read_recipe
from training.sweeps.plan import Space, plan, read_space

SPACE = """
recipes = ["adding_*"]
seeds = 2
[set]
training.updates = 40
[grid]
training.learning_rate = [1e-3, 1e-2]
"model.hidden_size" = [8]
"""


def test_every_recipe_is_trained_with_every_combination_and_every_seed(tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    planned = plan(read_space(tmp_path / "space.toml"))
    assert [(one.source, one.varied, one.recipe.training.seed) for one in planned] == [
        (source, f"learning_rate={rate} hidden_size=8", seed)
        for source in ("adding_gru", "adding_irnn")
        for rate in (0.001, 0.01)
        for seed in (0, 1)
    ]
    assert {one.recipe.training.updates for one in planned} == {40}
    assert len({one.folder(tmp_path) for one in planned}) == 8


def test_a_training_is_the_one_that_the_same_overrides_give_alone(tmp_path):
    [one] = plan(Space(("adding_gru",), set={"model.hidden_size": 8}))
    alone = read_recipe("adding_gru", ["model.hidden_size=8"])
    assert one.folder(tmp_path).name == f"adding_gru-{alone.digest}"


def test_a_recipe_that_several_globs_mean_is_trained_once_and_seeds_go_on_from_its_own(tmp_path):
    recipe = tmp_path / "own.toml"
    recipe.write_text('name = "own"\narchitecture = "gru"\ntask = "regress"\n[data]\nkind = "set"\nname = "adding"\n'
                      "[model]\nhidden_size = 4\n[training]\nseed = 7\n")  # fmt: skip
    planned = plan(Space(("adding_gru", "adding_g*", str(recipe)), seeds=2))
    assert [(one.recipe.name, one.recipe.training.seed) for one in planned] == [
        ("adding_gru", 0), ("adding_gru", 1), ("own", 7), ("own", 8),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('recipes = ["nothing_*"]', r"no recipe is named like 'nothing_\*'"),
        ('recipes = ["adding_gru"]\n[grid]\nmodel.hidden_size = []', r"grid\.model\.hidden_size has no value"),
        ('recipes = ["adding_gru"]\n[grid]\nmodel.hidden_siz = [1]', "there is no key 'hidden_siz'"),
        ('recipes = ["adding_gru"]\n[set]\nmodel.hidden_size = 0', r"model\.hidden_size: Expected `int` >= 1"),
        ('recipes = ["adding_gru"]\n[grid]\nmodel.hidden_size = 3', "Expected `array`"),
        ('recipes = ["adding_gru"]\nseeds = 0', "Expected `int` >= 1"),
        ('recipe = "adding_gru"', "unknown field `recipe`"),
        ("recipes = [", "cannot be read"),
        ('grid = 5\nrecipes = ["adding_gru"]', "'grid' is 5, and a table"),
        ('set = "x"\nrecipes = ["adding_gru"]', "'set' is 'x', and a table"),
    ],
)
def test_a_space_that_cannot_be_is_told_in_one_line_that_names_the_key(tmp_path, content, sentence):
    (tmp_path / "space.toml").write_text(content)
    with pytest.raises(WrongUse, match=sentence) as failure:
        plan(read_space(tmp_path / "space.toml"))
    assert "\n" not in str(failure.value)


def test_a_space_that_is_not_there_is_told_so(tmp_path):
    with pytest.raises(WrongUse, match=r"none\.toml' cannot be read"):
        read_space(tmp_path / "none.toml")
