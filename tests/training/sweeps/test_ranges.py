import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import WrongUse
from training.sweeps.plan import read_space
from training.sweeps.ranges import Range
from training.sweeps.study import distribution_of


def searched(tmp_path, content):
    (tmp_path / "space.toml").write_text(f'recipes = ["adding_gru"]\n[search]\n{content}')
    search = read_space(tmp_path / "space.toml").search
    assert search is not None
    return search


def test_keys_with_dots_need_no_quotes(tmp_path):
    settings = 'training.batch = {low = 1, high = 4}\n"training.clip" = {choices = [0.5, 1]}\n'
    settings += "[search.settings.model]\nhidden_size = {choices = [4]}\n"
    search = searched(tmp_path, f"trials = 2\n[search.settings]\n{settings}")
    assert search.settings == {
        "training.batch": Range(low=1, high=4),
        "training.clip": Range(choices=(0.5, 1)),
        "model.hidden_size": Range(choices=(4,)),
    }
    assert (search.trials, search.seed) == (2, 0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("{low = 4, high = 1}", "nothing is between low = 4 and high = 1"),
        ("{choices = []}", "choices is empty"),
        ("{}", "low and high are expected, or choices"),
        ("{low = 1}", "low and high are expected, or choices"),
        ("{low = 1, high = 2, choices = [1]}", "choices are given alone"),
        ("{lo = 1, high = 2}", "unknown field `lo`"),
        ("{low = 0, high = 2, log = true}", "log needs low above 0"),
        ("{low = 1, high = 2, log = true, step = 1}", "log needs low above 0, and no step"),
        ("{low = 1, high = 4, step = 2}", "step = 2 does not lead from 1 to 4"),
        ("{low = 1, high = 4, step = 0}", "step = 0: a number above 0 is expected"),
        ("{low = 1, high = 4, step = 1.5}", "step = 1.5 is not whole"),
        ("{low = 1, high = inf}", "finite numbers are expected"),
        ("{low = nan, high = 1}", "finite numbers are expected"),
    ],
)
def test_a_range_that_cannot_be_is_told_in_one_line_that_names_the_key(tmp_path, given, sentence):
    with pytest.raises(WrongUse, match=r"search\.settings\.training\.clip: ") as failure:
        searched(tmp_path, f"trials = 2\n[search.settings]\ntraining.clip = {given}\n")
    assert sentence in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("trials = 0\n[search.settings]\n", "Expected `int` >= 1"),
        ("[search.settings]\n", "missing required field `trials`"),
        ("trials = 2\n", "missing required field `settings`"),
        ("trials = 2\nsettings = 3\n", "Expected `object`, got `int`"),
        ("trials = 2\nseed = -1\n[search.settings]\n", "Expected `int` >= 0"),
    ],
)
def test_a_search_that_cannot_be_is_told_in_one_line(tmp_path, content, sentence):
    with pytest.raises(WrongUse) as failure:
        searched(tmp_path, content)
    assert sentence in str(failure.value)
    assert "\n" not in str(failure.value)


@given(st.integers(-50, 50), st.integers(0, 20), st.integers(1, 7))
def test_whole_numbers_are_chosen_of_whole_numbers_and_all_of_them_can_be(low, count, step):
    distribution = distribution_of(Range(low=low, high=low + count * step, step=step))
    for value in range(low, low + count * step + 1):
        assert distribution._contains(value) == ((value - low) % step == 0)


def test_a_number_with_a_point_makes_the_range_one_of_numbers_between():
    distribution = distribution_of(Range(low=0, high=0.5))
    assert distribution._contains(0.25)
    assert not distribution._contains(0.75)
