from tests.conftest import ROOT
from training.architectures import ARCHITECTURES
from training.cli import main
from training.pages import architectures_table, reproduction_page
from training.recipe import read_recipe, recipe_names
from training.record import Record, is_reached


def test_the_readmes_table_is_what_the_command_writes(capsys):
    assert main(["list", "--markdown"]) == 0
    written = capsys.readouterr().out
    assert written == architectures_table()
    assert f"\n\n{written}\n" in (ROOT / "README.md").read_text()


def test_the_page_of_figures_is_what_the_command_writes(capsys):
    assert main(["recipes", "--markdown"]) == 0
    assert capsys.readouterr().out == reproduction_page() == (ROOT / "docs" / "reproduction.md").read_text()


def test_every_architecture_is_in_the_table_with_its_page_and_every_recipe_on_the_page_once():
    table, page = architectures_table(), reproduction_page()
    for name, line in ARCHITECTURES.items():
        assert table.count(f"[`{name}`](docs/architectures/{line.page}.md)") == 1
    for name in recipe_names():
        [row] = [row for row in page.splitlines() if row.startswith(f"| `{name}` |")]
        recipe = read_recipe(name)
        known, figure = Record().of(recipe), recipe.figure
        reached = figure.reached if known is None else known.median
        told = [row.split("|")[column].strip() for column in (4, 7, 8)]
        assert told[0].split("(")[0].strip().removesuffix(", not reached") == said(reached)
        assert told[1:] == [said(figure.must), said(figure.published)]
        assert ("not reached" in told[0]) == (reached is not None and is_reached(recipe, reached) is False)


def said(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
