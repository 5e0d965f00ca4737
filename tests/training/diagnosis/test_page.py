import re

import msgspec

from tests.conftest import ROOT
from tests.training.diagnosis.test_table import FOUND
from training.diagnosis.compared import BASE, COMPARED
from training.diagnosis.comparison import Pair
from training.diagnosis.echo import Echo
from training.diagnosis.page import HEAD, LEGEND, page
from training.recipe import read_recipe

PAGE = (ROOT / "docs" / "long_term_dependencies.md").read_text()
LINES = {"RNN", "IRNN", "LSTM", "GRU", "leaky", "echo state", "NTM"}


def paired(**changed):
    pair = Pair(FOUND, FOUND, 0.1, 0.01)
    return dict.fromkeys(COMPARED, pair) | changed


def shape(text: str) -> str:
    """The page without its figures, and without the words that they decide."""
    rows = [row for row in text.splitlines() if not row.startswith(("| ", "- **"))]
    return "\n".join(rows)


def test_the_page_is_of_the_form_that_the_command_writes():
    assert shape(PAGE) == shape(page(paired()))
    assert HEAD in PAGE
    assert LEGEND in PAGE
    assert re.findall(r"^- \*\*(.*?)\*\*", PAGE, re.M) == re.findall(r"^- \*\*(.*?)\*\*", page(paired()), re.M)


def test_every_cell_has_a_line_in_each_table_of_the_page():
    assert COMPARED.keys() == LINES
    for label in COMPARED:
        assert len(re.findall(rf"^\| {label} \|", PAGE, re.M)) == 3


def test_the_cells_are_compared_on_one_task_with_one_size_and_one_budget():
    recipes = [read_recipe(BASE, overrides) for overrides in COMPARED.values()]
    assert len({recipe.architecture for recipe in recipes}) == len(recipes)
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    for same in ("data", "model", "task"):
        assert all(getattr(recipe, same) == getattr(recipes[0], same) for recipe in recipes)
    budgets = {(one.training.updates, one.training.batch, one.training.seed) for one in recipes}
    assert budgets == {(1600, 100, 0)}


def test_what_is_said_follows_what_was_measured():
    lasting = msgspec.structs.replace(FOUND, flow=msgspec.structs.replace(FOUND.flow, rate=1.0))
    kept = msgspec.structs.replace(lasting, echo=Echo(FOUND.echo.distances, None))
    text = page(paired(LSTM=Pair(FOUND, lasting, 0.1, 0.01), NTM=Pair(FOUND, kept, 0.1, 0.01)))
    assert "its past vanishes before training and keeps after it; of the last" in text
    assert "the echo-state test is passed before training and not passed after" in text
