"""The commands of training: the whole job, or one stage of it."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import ModelError
from models.repository import DEFAULT, Repository
from training.data.cli import add_data
from training.diagnosis.cli import add_diagnose
from training.errors import Interrupted, TrainingError, WrongUse
from training.job import STAGES, Job
from training.listing import list_architectures, list_recipes
from training.pages import architectures_table, reproduction_page
from training.processes import is_first
from training.recipe import read_recipe, recipe_names
from training.reproduce import add_reproduce
from training.run import Run
from training.sampling import add_generative
from training.sweeps.command import add_sweep

OK, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
RUNS = Path(__file__).parent.parent / "runs"
EXAMPLE = """example:
  python -m training train charlm --set data.path=book.txt --set training.updates=2000

A run that was stopped goes on where it was when the same command is given again. To train in two processes:
  torchrun --nproc-per-node 2 -m training train charlm --until train
"""

Command = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(given)
    command: Command = options.command
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        command(options)
    except WrongUse as error:
        return _say(error, WRONG_USE)
    except (TrainingError, ModelError, OSError) as error:
        return _say(error, FAILED)
    except (Interrupted, KeyboardInterrupt):
        if is_first():
            _say(f"stopped; `python -m training {shlex.join(given)}` goes on from the checkpoint", INTERRUPTED)
        return INTERRUPTED
    return OK


def _say(what: object, code: int) -> int:
    sys.stderr.write(f"training: {what}\n")
    return code


def parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train the recurrent architectures, and make models that Recur serves.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    for stage in STAGES[1:]:
        one = commands.add_parser(stage, help=f"{stage} a run that has come through the stages before")
        one.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
        _add_repository(one)
        one.set_defaults(command=_one_stage, stage=stage)
    listing = commands.add_parser(
        "list", help="the architectures, where the chapter has them, how well they do, and their options"
    )
    listing.add_argument(
        "--json",
        action="store_true",
        help="as JSON, with the formula of what each learns and the source of the published figure",
    )
    listing.add_argument("--markdown", action="store_true", help="as the table of README.md")
    listing.set_defaults(command=_list)
    recipes = commands.add_parser("recipes", help="the recipes that Recur ships, with what each reached")
    recipes.add_argument("--markdown", action="store_true", help="as docs/reproduction.md")
    recipes.set_defaults(
        command=lambda options: sys.stdout.write(reproduction_page() if options.markdown else list_recipes())
    )
    add_reproduce(commands)
    add_sweep(commands, RUNS)
    add_data(commands)
    add_generative(commands)
    add_diagnose(commands)
    return parser


def _list(options: argparse.Namespace) -> None:
    sys.stdout.write(architectures_table() if options.markdown else list_architectures(as_json=options.json))


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = commands.add_parser(
        "train",
        help="the whole job: train, export, verify, publish, and quantize if the recipe asks for it",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("recipe", metavar="RECIPE", help=f"{', '.join(recipe_names())}, or the path of a .toml file")
    train.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe; may be repeated"
    )
    train.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage to do (default: all)")
    train.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="where run folders are (default: runs)")
    _add_repository(train)
    train.set_defaults(command=_train)


def _add_repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repository",
        type=Path,
        default=Path(os.environ.get("RECUR_REPOSITORY", DEFAULT)),
        metavar="DIR",
        help="where models are published (RECUR_REPOSITORY; default: models/built)",
    )


def _train(options: argparse.Namespace) -> None:
    recipe = read_recipe(options.recipe, options.set)
    run = Run.begin(options.runs / f"{recipe.name}-{recipe.digest}", recipe)
    Job(run, Repository(options.repository), say=sys.stdout.write).through(options.until)


def _one_stage(options: argparse.Namespace) -> None:
    Job(Run(options.run), Repository(options.repository), say=sys.stdout.write).do(options.stage)
