"""`sweep`: many recipes, seeds and settings, several at once."""

import argparse
import os
import shlex
import sys
import tomllib
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from pathlib import Path

import msgspec

from training.errors import TrainingError, WrongUse
from training.recipe import value_of
from training.sweeps.plan import Planned, Space, bases, plan, read_space
from training.sweeps.results import TABLE, lines_of, table, write_results
from training.sweeps.sweeping import Best, Listed, Source, Sweep
from training.sweeps.watching import counted, watching
from training.sweeps.work import Work
from training.sweeps.workers import Processes, Workers

SWEEPS = "sweeps"
EXAMPLE = """examples:
  python -m training sweep 'jsb_*' --seeds 3
  python -m training sweep adding_gru --grid training.learning_rate=1e-3,1e-2 --grid model.hidden_size=32,64
  python -m training sweep space.toml

space.toml has the same:
  recipes = ["adding_gru"]
  seeds = 3
  [set]
  training.updates = 400
  [grid]
  training.learning_rate = [1e-3, 1e-2]

or a search, of so many trials of each recipe, by Optuna (pip install '.[search]'):
  [search]
  trials = 20
  [search.settings]
  training.learning_rate = { low = 1e-4, high = 1e-2, log = true }
  model.hidden_size = { choices = [32, 64] }
  training.clip = { low = 0.5, high = 2.0, step = 0.5 }

Every training is a run folder as `train` makes it: what is done is not done again, and what was stopped or killed goes
on from its checkpoint. With --ray the trainings are tasks of a Ray cluster (pip install '.[ray]').
Figures are of the test part: choose between settings by the column `validation`, a loss.
"""


def add_sweep(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", runs: Path) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sweep",
        help="train many recipes, seeds and settings, several at once",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recipes", nargs="+", metavar="GLOB", help="recipes' names as a shell has them, or a space.toml"
    )
    parser.add_argument("--seeds", type=int, default=None, metavar="N", help="trainings of each (default: 1)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of all")
    parser.add_argument(
        "--grid", action="append", default=[], metavar="KEY=VALUE,VALUE", help="train with each; may be repeated"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=None,
        metavar="N",
        help=f"trainings at once (default: {_cores()}, the cores; with --ray as many as the cluster has)",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="train on the nodes of a Ray cluster, HOST:PORT as `ray start` says it; "
        "all of them have this folder and that of the runs at the same place",
    )
    parser.add_argument("--runs", type=Path, default=runs, metavar="DIR", help="where run folders are (default: runs)")
    parser.set_defaults(command=_sweep, usual_runs=runs)


def _sweep(options: argparse.Namespace) -> None:
    if options.jobs is not None and options.jobs < 1:
        raise WrongUse(f"--jobs {options.jobs}: at least one is needed")
    source, folder = _opened(_space(options), options.runs)
    with _workers(options) as workers, watching(source) as shown:
        Sweep(source, workers, shown).run()
    found, works = source.best(), source.works
    for best in found:
        best.work.is_best = True
    if lines := lines_of(works):
        write_results(folder, lines)
        sys.stdout.write(f"{table(lines)}{counted(works, source.total)}; all of it is in {folder}, {TABLE} first\n")
    for best in found:
        sys.stdout.write(_told(best, None if options.runs == options.usual_runs else options.runs))
    if failed := [work for work in works if work.standing == "failed"]:
        raise TrainingError(f"{len(failed)} of {len(works)} trainings failed, the first with: {failed[0].complaint}")


def _workers(options: argparse.Namespace) -> AbstractContextManager[Workers]:
    """Give what does the trainings: processes of this machine, or tasks of a cluster."""

    def command(planned: Planned) -> list[str]:
        return command_of(planned, options.runs)

    if options.ray is None:
        return nullcontext(Processes(options.jobs or _cores(), command))
    try:
        from training.sweeps.ray_workers import ray_workers  # noqa: PLC0415  an extra brings what it needs
    except ModuleNotFoundError as error:
        raise WrongUse(f"--ray needs {error.name}, which is not installed: pip install '.[ray]'") from error
    return ray_workers(options.ray, options.jobs, command)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _opened(space: Space, runs: Path) -> tuple[Source, Path]:
    """Give a space's trainings, and the sweep's folder."""
    if space.search is None:
        planned = plan(space)
        return Listed([Work(one, one.folder(runs)) for one in planned]), runs / SWEEPS / _digest(planned)
    try:
        from training.sweeps.search import Searched, check_search  # noqa: PLC0415  an extra brings what it needs
    except ModuleNotFoundError as error:
        raise WrongUse(f"[search] needs {error.name}, which is not installed: pip install '.[search]'") from error
    check_search(space)
    folder = runs / SWEEPS / _search_digest(space)
    return Searched(space, runs, folder), folder


def _told(best: Best, runs: Path | None) -> str:
    """Say which trial was best, and how to train it and all that comes after."""
    planned = best.work.planned
    changed = [part for override in planned.overrides for part in ("--set", override)]
    command = ["python", "-m", "training", "train", planned.source, *changed]
    command += [] if runs is None else ["--runs", str(runs)]
    said = f"best of {planned.recipe.name}: {planned.varied}, {best.reached}; to publish what it learned:"
    return f"{said}\n  {shlex.join(command)}\n"


def command_of(planned: Planned, runs: Path) -> list[str]:
    """Give the arguments of `python -m training` that do a training."""
    changed = [part for override in planned.overrides for part in ("--set", override)]
    return ["train", planned.source, *changed, "--until", "train", "--runs", str(runs.resolve())]


def _space(options: argparse.Namespace) -> Space:
    """Read what is asked for: a file, or what the command line says."""
    first = Path(options.recipes[0])
    if first.suffix == ".toml" and _is_space(first):
        if options.grid or options.set or options.seeds is not None or len(options.recipes) > 1:
            raise WrongUse(f"'{first}' says all of it: leave --grid, --set, --seeds and other recipes out")
        return read_space(first)
    grid = {}
    for given in options.grid:
        key, equals, values = given.partition("=")
        if not equals or not key:
            raise WrongUse(f"--grid {given}: KEY=VALUE,VALUE is expected, for example training.batch=16,32")
        grid[key] = tuple(map(value_of, filter(None, values.split(","))))
    fixed = {}
    for given in options.set:
        key, equals, text = given.partition("=")
        if not equals or not key:
            raise WrongUse(f"--set {given}: TABLE.KEY=VALUE is expected, for example training.updates=500")
        fixed[key] = value_of(text)
    seeds = 1 if options.seeds is None else options.seeds
    if seeds < 1:
        raise WrongUse(f"--seeds {seeds}: at least one is needed")
    return Space(tuple(options.recipes), seeds, fixed, grid)


def _is_space(path: Path) -> bool:
    """Whether a file is a space and not a recipe, which has an architecture; what cannot be read is told as a space."""
    try:
        return "architecture" not in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return True


def _digest(planned: list[Planned]) -> str:
    """Name a sweep by its trainings."""
    return sha256(msgspec.json.encode([(*one.overrides, one.source) for one in planned])).hexdigest()[:8]


def _search_digest(space: Space) -> str:
    """Name a search by what is searched, of which recipes; more trials are the same search."""
    assert space.search is not None
    recipes = [(one.recipe.name, one.recipe.digest) for one in (base.planned() for base in bases(space))]
    said = (recipes, space.search.settings, space.search.seed)
    return sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:8]
