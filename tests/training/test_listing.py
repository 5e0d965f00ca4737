import json
import re

import pytest

from tests.conftest import ROOT
from training.architectures import ARCHITECTURES
from training.listing import SECTIONS, list_architectures
from training.recipe import read_recipe, recipe_names
from training.tasks import TASKS

PAGES = ROOT / "docs" / "architectures"


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_an_architectures_page_has_its_section_its_options_and_what_it_learns(name):
    line = ARCHITECTURES[name]
    page = (PAGES / f"{line.page}.md").read_text()
    (row,) = [row for row in page.splitlines() if row.startswith(f"| `{name}` |")]
    assert row.split("|")[2].split(",")[0].strip() == line.section
    assert line.parameters in page
    for heading in ("**Options.**", "**When.**", "**Source.**"):
        assert heading in page or (heading == "**Options.**" and not line.options)
    named = set(re.findall(r"`(\w+)`", page.partition("**Options.**")[2].partition("**When.**")[0]))
    assert line.options.keys() <= named


def test_every_page_is_of_an_architecture_and_listed():
    listed = (PAGES / "README.md").read_text()
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == {line.page for line in ARCHITECTURES.values()}
    assert all(f"[{page}]({page}.md)" in listed for page in pages)
    assert all(f"`{name}`" in listed for name in ARCHITECTURES)


def test_every_section_has_its_title():
    assert SECTIONS.keys() == {line.section for line in ARCHITECTURES.values()}


def test_programs_are_told_each_architectures_recipes_task_and_figures():
    told = {one["architecture"]: one for one in json.loads(list_architectures(as_json=True))}
    assert told.keys() == ARCHITECTURES.keys()
    assert {name for one in told.values() for name in one["recipes"]} == set(recipe_names())
    lstm = told["lstm"]
    assert (lstm["task"], lstm["metric"], lstm["published"]) == ("next_frame", "nll_per_frame", 8.45)
    assert "Bai" in lstm["citation"]


@pytest.mark.parametrize("name", recipe_names())
def test_what_a_recipe_reached_is_what_it_must(name):
    recipe = read_recipe(name)
    figure, better = recipe.figure, TASKS[recipe.task].better
    if figure.must is not None:
        assert figure.reached is not None
        assert figure.reached >= figure.must if better == "higher" else figure.reached <= figure.must


@pytest.mark.parametrize("name", recipe_names())
def test_an_architectures_page_says_what_its_recipes_reached(name):
    recipe = read_recipe(name)
    page = (PAGES / f"{ARCHITECTURES[recipe.architecture].page}.md").read_text()
    assert f"`{name}`" in page or f"train {name}`" in page
    if recipe.figure.reached is not None:
        assert f"{recipe.figure.reached:.4g}" in page
