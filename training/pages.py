"""The tables of the documentation, written from what architectures and recipes say of themselves."""

from collections.abc import Iterable, Sequence

from training.architectures import ARCHITECTURES
from training.listing import SECTIONS, figures, in_order, recipes_of, shipped
from training.recipe import Recipe
from training.tasks import TASKS

REPRODUCTION = """# Reproduction

What every recipe reached when it was last trained in full, beside what it is held to and what was published. One
training each with seed 0, but where its recipe says otherwise, so that the last digit is soft. Epochs are chosen on
the validation part, figures are of the test part. `python -m training train NAME` trains one, and its run folder has
the pictures and the time that it took; `python -m training recipes --markdown` writes this page.
"""


def architectures_table() -> str:
    """Write a line for each section of the chapter: its architectures, with their pages, and a figure."""
    lines = [f"| {section} {title} | {_linked(section)} | {_best(section)} |" for section, title in SECTIONS.items()]
    return _table(("section of the chapter", "architectures", "one of them learnt"), lines)


def reproduction_page() -> str:
    """Write what the recipes of each section reached."""
    parts = [f"\n## {section} {title}\n\n{_reached(section)}" for section, title in SECTIONS.items() if _of(section)]
    return REPRODUCTION + "".join(parts)


def _reached(section: str) -> str:
    head = ("recipe", "architecture", "figure", "reached", "must", "published", "where it stands, or how it differs")
    return _table(head, map(_line, _of(section)))


def _line(recipe: Recipe) -> str:
    figure, page = recipe.figure, ARCHITECTURES[recipe.architecture].page
    cells = [
        f"`{recipe.name}`",
        f"[{recipe.architecture}](architectures/{page}.md)",
        f"{TASKS[recipe.task].metric}, {'higher' if TASKS[recipe.task].better == 'higher' else 'lower'} is better",
        *("" if value is None else f"{value:.4g}" for value in (figure.reached, figure.must, figure.published)),
        figure.citation,
    ]
    return f"| {' | '.join(cells)} |"


def _of(section: str) -> list[Recipe]:
    return [one for one in shipped() if ARCHITECTURES[one.architecture].section == section]


def _linked(section: str) -> str:
    names = [name for name in in_order() if ARCHITECTURES[name].section == section]
    return ", ".join(f"[`{name}`](docs/architectures/{ARCHITECTURES[name].page}.md)" for name in names)


def _best(section: str) -> str:
    recipes = [one for name in in_order() if ARCHITECTURES[name].section == section for one in recipes_of(name)]
    recipes.sort(key=lambda one: (one.figure.published is None, one.figure.must is None))
    return f"`{recipes[0].name}`: {figures(recipes[0])}" if recipes else ""


def _table(head: Sequence[str], lines: Iterable[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines]) + "\n"
