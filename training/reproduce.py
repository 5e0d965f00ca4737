"""`reproduce`: trains the recipes with several seeds, and tells what they reach beside what was published."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from training.errors import TrainingError, WrongUse
from training.pages import reproduction_page
from training.recipe import RECIPES, Recipe, read_recipe
from training.record import RECORD, Reached, Record, is_reached, read_trained
from training.run import Run
from training.sweeps.command import command_of
from training.sweeps.plan import Planned, Space, named, plan
from training.sweeps.sweeping import Listed, Sweep
from training.sweeps.watching import watching
from training.sweeps.work import Work
from training.sweeps.workers import Processes
from training.tasks import TASKS

PAGE = RECORD.with_suffix(".md")
# A recipe that took no longer than this is a quick one.
QUICK_SECONDS = 30
EXAMPLE = """example:
  python -m training reproduce --quick           # those that take at most half a minute each
  python -m training reproduce 'jsb_*' --seeds 3

What was trained before, with the same settings and seed, is not trained again; what is stopped goes on where it was.
The exit code is 1 where a figure that a recipe is held to is not reached.
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
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=cores, metavar="N", help=f"processes at once (default: {cores})")
    parser.add_argument("--runs", type=Path, default=RECIPES.parent.parent / "runs", metavar="DIR", help="run folders")
    parser.add_argument(
        "--record", type=Path, default=RECORD, metavar="FILE", help="the record of figures (default: the project's)"
    )
    parser.set_defaults(command=_reproduce)


def _reproduce(options: argparse.Namespace) -> None:
    for name in ("seeds", "jobs"):
        if getattr(options, name) < 1:
            raise WrongUse(f"--{name} {getattr(options, name)}: at least one is needed")
    record, chosen = Record(options.record), _chosen(options.recipes, quick=options.quick)
    planned = plan(Space(tuple(recipe.name for recipe in chosen), options.seeds))
    failed = _train(planned, options.runs, options.jobs, record)
    missed = []
    for number, recipe in enumerate(chosen, 1):
        if (reached := record.of(recipe)) is None:
            continue
        sys.stdout.write(f"{number}/{len(chosen)}  {told(recipe, reached)}\n")
        if is_reached(recipe, reached.median) is False:
            missed.append(recipe.name)
    if options.record == RECORD:
        PAGE.write_text(reproduction_page(), encoding="utf-8")
    if failed:
        raise TrainingError(f"{len(failed)} of {len(planned)} trainings failed, the first with: {failed[0].complaint}")
    if missed:
        raise TrainingError(f"not reached: {', '.join(missed)}")
    sys.stdout.write("all that is held to a figure reaches it\n")


def _train(planned: Sequence[Planned], runs: Path, jobs: int, record: Record) -> list[Work]:
    """Train all, and note each as it is done; gives those that failed."""
    source = Listed([Work(one, one.folder(runs)) for one in planned])
    with watching(source) as shown:

        def changed(work: Work | None) -> None:
            if work is not None and work.standing == "done":
                record.add(work.planned.recipe, read_trained(Run(work.folder)))
            shown(work)

        Sweep(source, Processes(jobs, lambda one: command_of(one, runs)), changed).run()
    return [work for work in source.works if work.standing == "failed"]


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


def _chosen(globs: Sequence[str], *, quick: bool) -> list[Recipe]:
    """Read the recipes that are meant; raises WrongUse for a glob that means none."""
    recipes, known = [read_recipe(name) for name in named(globs or ["*"])], Record(RECORD)
    if quick:
        recipes = [
            one for one in recipes if (reached := known.of(one)) is not None and reached.seconds <= QUICK_SECONDS
        ]
    if not recipes:
        raise WrongUse("none of the recipes is recorded as a quick one; leave --quick out")
    return recipes
