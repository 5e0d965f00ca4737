"""The tables of the documentation, written from what architectures and recipes say of themselves."""

from collections.abc import Iterable, Sequence

from training.architectures import ARCHITECTURES
from training.listing import SECTIONS, figures, in_order, recipes_of, shipped
from training.recipe import Recipe
from training.record import Record, is_reached
from training.tasks import TASKS

REPRODUCTION = """# Reproduction

What every recipe reached when it was last trained in full, beside what it is held to and what was published: the
median of its seeds with the lowest and the highest of them; of a recipe that was trained with one seed alone, what that
reached. Epochs are chosen on the validation part, figures are of the test part. Seconds are those of the updates, on
one core of a shared machine. `python -m training reproduce NAME` trains one with three seeds and writes this page;
[reproduction.json](reproduction.json) has each seed's figure, time and processor, and the digest of what it learnt.
"""


def architectures_table() -> str:
    """Write a line for each section of the chapter: its architectures, with their pages, and a figure."""
    lines = [f"| {section} {title} | {_linked(section)} | {_best(section)} |" for section, title in SECTIONS.items()]
    return _table(("section of the chapter", "architectures", "one of them learnt"), lines)


def reproduction_page() -> str:
    """Write what the recipes of each section reached."""
    record = Record()
    parts = [
        f"\n## {section} {title}\n\n{_reached(section, record)}" for section, title in SECTIONS.items() if _of(section)
    ]
    return REPRODUCTION + "".join(parts)


def _reached(section: str, record: Record) -> str:
    head = ("recipe", "architecture", "figure", "reached", "seeds", "seconds", "must", "published", "where it stands")
    return _table(head, (_line(recipe, record) for recipe in _of(section)))


def _line(recipe: Recipe, record: Record) -> str:
    figure, page = recipe.figure, ARCHITECTURES[recipe.architecture].page
    cells = [
        f"`{recipe.name}`",
        f"[{recipe.architecture}](architectures/{page}.md)",
        f"{TASKS[recipe.task].metric}, {'higher' if TASKS[recipe.task].better == 'higher' else 'lower'} is better",
        *_trained(recipe, record),
        *("" if value is None else f"{value:.4g}" for value in (figure.must, figure.published)),
        figure.citation,
    ]
    return f"| {' | '.join(cells)} |"


def _trained(recipe: Recipe, record: Record) -> tuple[str, str, str]:
    """Say what was reached, by how many seeds, and in how many seconds."""
    known, alone = record.of(recipe), recipe.figure.reached
    value = alone if known is None else known.median
    if value is None:
        return "", "0", ""
    said = f"{value:.4g}" + (", not reached" if is_reached(recipe, value) is False else "")
    if known is None:
        return said, "1", ""
    if len(known.figures) > 1:
        said += f" ({known.figures[0]:.4g} to {known.figures[-1]:.4g})"
    return said, str(len(known.figures)), f"{known.seconds:.0f}"


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
