"""`reproduce`: trains the recipes with several seeds, and tells what they reach beside what was published."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from models.repository import Repository
from training.errors import WrongUse
from training.job import Job
from training.pages import reproduction_page
from training.recipe import RECIPES, Recipe, read_recipe, recipe_names
from training.record import RECORD, Reached, Record, is_reached, read_trained, with_seed
from training.run import Run
from training.tasks import TASKS

PAGE = RECORD.with_suffix(".md")
# A recipe that took no longer than this is a quick one.
QUICK_SECONDS = 60
EXAMPLE = """example:
  python -m training reproduce --quick           # those that take at most a minute each
  python -m training reproduce 'jsb_*' --seeds 3

What was trained before, with the same settings and seed, is not trained again; what is stopped goes on where it was.
"""


def add_reproduce(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "reproduce",
        help="train the recipes with several seeds: each figure beside what it is held to and what was published",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recipes", nargs="*", metavar="GLOB", help="names of recipes, as a shell has them (default: all)"
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings of each (default: 3)")
    parser.add_argument(
        "--quick", action="store_true", help=f"only those that took at most {QUICK_SECONDS} s when they were recorded"
    )
    parser.add_argument("--runs", type=Path, default=RECIPES.parent.parent / "runs", metavar="DIR", help="run folders")
    parser.add_argument(
        "--record", type=Path, default=RECORD, metavar="FILE", help="the record of figures (default: the project's)"
    )
    parser.set_defaults(command=_reproduce)


def _reproduce(options: argparse.Namespace) -> None:
    if options.seeds < 1:
        raise WrongUse(f"--seeds {options.seeds}: at least one is needed")
    record, missed = Record(options.record), []
    chosen = _chosen(options.recipes, record, quick=options.quick)
    for number, recipe in enumerate(chosen, 1):
        for seed in _seeds(recipe, options.seeds):
            _train(with_seed(recipe, seed), record, options.runs)
        reached = record.of(recipe)
        assert reached is not None
        sys.stdout.write(f"{number}/{len(chosen)}  {told(recipe, reached)}\n")
        sys.stdout.flush()
        if is_reached(recipe, reached.median) is False:
            missed.append(recipe.name)
    if options.record == RECORD:
        PAGE.write_text(reproduction_page(), encoding="utf-8")
    sys.stdout.write(f"not reached: {', '.join(missed)}\n" if missed else "all that is held to a figure reaches it\n")


def told(recipe: Recipe, reached: Reached) -> str:
    """Say what a recipe reached, over its seeds, beside what it is held to and what was published."""
    figure, figures = recipe.figure, reached.figures
    said = [f"{recipe.name}: {TASKS[recipe.task].metric} {reached.median:.4g}"]
    said[0] += f" ({figures[0]:.4g} to {figures[-1]:.4g}, {len(figures)} seeds)" if len(figures) > 1 else " (one seed)"
    if figure.must is not None:
        said.append(f"must {figure.must:.4g} {'reached' if is_reached(recipe, reached.median) else 'NOT REACHED'}")
    if figure.published is not None:
        said.append(f"published {figure.published:.4g}")
    return ", ".join([*said, f"{reached.seconds:.0f} s"])


def _chosen(globs: Sequence[str], record: Record, *, quick: bool) -> list[Recipe]:
    """Read the recipes that are meant; raises WrongUse for a glob that means none."""
    names = recipe_names()
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise WrongUse(f"no recipe is named like '{glob}'; `python -m training recipes` lists them")
    recipes = [read_recipe(name) for name in names if not globs or any(fnmatchcase(name, glob) for glob in globs)]
    if quick:
        recipes = [one for one in recipes if (known := record.of(one)) is not None and known.seconds <= QUICK_SECONDS]
    if not recipes:
        raise WrongUse("none of the recipes is recorded as a quick one; leave --quick out")
    return recipes


def _seeds(recipe: Recipe, count: int) -> Iterator[int]:
    """Give the recipe's own seed, and those after it."""
    yield from range(recipe.training.seed, recipe.training.seed + count)


def _train(recipe: Recipe, record: Record, runs: Path) -> None:
    """Train a recipe unless its run is done, and note what it reached."""
    run = Run.begin(runs / f"{recipe.name}-{recipe.digest}", recipe)
    Job(run, Repository(runs / "models"), say=sys.stdout.write).through("train")
    record.add(recipe, read_trained(run))
