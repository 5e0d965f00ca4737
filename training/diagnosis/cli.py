"""`python -m training diagnose`: long-term dependencies of a run or a recipe, or of seven cells side by side."""

import argparse
import sys
from pathlib import Path

from training.diagnosis.comparison import compare
from training.diagnosis.measure import Extent
from training.diagnosis.page import page
from training.diagnosis.subject import PICTURE, RESULT, named, open_subject
from training.diagnosis.table import table
from training.errors import WrongUse

TEACHING = """what is measured, along sequences of the validation part, in float64 (Deep Learning, section 10.7):
  spectral radius      the largest eigenvalue of ds_t+1/ds_t, the recurrent Jacobian: below 1 a step shrinks
  norm of ds_t/ds_t-k  how much of a state reaches one k steps later: vanishes, explodes or keeps (over all k it would
                       neither halve nor double), with its factor a step and its half-life
  gradient             the norm of dL_T/ds_t, of the last answer's loss with respect to the states before it
  gates                how many values are nearly shut (below 0.1) or open (above 0.9)
  echo-state test      two states under one input: does it make them one?
  memory capacity      how much of random inputs k steps ago a linear readout finds in the state, summed over k
What counts steps, is whole numbers or never changes (a source's annotations) is held. Of a state of more than 256
numbers the Jacobian is in products with vectors: ARPACK for its largest eigenvalues, the power method for norms, at
fewer places.

MODEL is the folder of a run that was trained, or a recipe's name or .toml file, which is trained first if its run is
not there. A published model has no weights to diagnose: give its run or its recipe. diagnosis.json and diagnosis.png
are left in the run's folder; with --initial they are initial_diagnosis.json and .png.

examples:
  python -m training diagnose adding_gru
  python -m training diagnose adding_gru --initial           # before training: in seconds
  python -m training diagnose runs/charlm-1a2b3c4d --steps 50
  python -m training diagnose --compare                      # seven cells; --page FILE writes them as a page
"""
RUNS = Path(__file__).parent.parent.parent / "runs"


def add_diagnose(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diagnose",
        help="long-term dependencies: what a model's state keeps, and what gradients find of it",
        epilog=TEACHING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a run's folder, or a recipe")
    parser.add_argument("--compare", action="store_true", help="seven cells on one task, before and after training")
    parser.add_argument("--page", type=Path, metavar="FILE", help="of --compare: write the page, as Markdown")
    parser.add_argument("--initial", action="store_true", help="as training begins with it, rather than trained")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe; may be repeated"
    )
    for name, default, what in (
        ("sequences", 32, "how many to go along"),
        ("steps", 100, "of a sequence, at most: longer ones are cut"),
        ("seed", 0, "of what is drawn"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="DIR", help="where run folders are (default: runs)")
    parser.set_defaults(command=_diagnose)


def _diagnose(options: argparse.Namespace) -> None:
    extent = _extent(options)
    if options.compare:
        if options.model is not None or options.set or options.initial:
            raise WrongUse("--compare has cells of its own: leave MODEL, --set and --initial out")
        compared = compare(options.runs, extent, _say)
        text = page(compared)
        if options.page is not None:
            options.page.write_text(text, encoding="utf-8")
        sys.stdout.write(text if options.page is None else f"diagnose: {options.page}\n")
        return
    if options.model is None or options.page is not None:
        raise WrongUse("give a run's folder or a recipe, or --compare, which alone has a --page")
    subject, is_recipe = open_subject(options.model, options.set, options.runs, _say)
    if is_recipe and not options.initial:
        subject.train()
    found = subject.diagnose(extent, trained=not options.initial)
    sys.stdout.write(table(found))
    for file in (RESULT, PICTURE):
        sys.stdout.write(f"diagnose: {subject.run.path(named(file, trained=found.trained))}\n")


def _extent(options: argparse.Namespace) -> Extent:
    if options.sequences < 1 or options.steps < 2 or options.seed < 0:
        raise WrongUse("--sequences must be at least 1, --steps at least 2, and --seed at least 0")
    return Extent(options.sequences, options.steps, options.seed)


def _say(what: str) -> None:
    sys.stdout.write(what)
    sys.stdout.flush()
