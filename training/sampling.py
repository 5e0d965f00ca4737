"""`python -m training sample RUN` and `score RUN TEXT`: what a trained run draws, and how likely it finds a text."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import final

import torch

from training.errors import RunInvalid, WrongUse
from training.generative import Generative, Way
from training.job import trained_model
from training.run import RESULT, VOCABULARY, Run


@final
class Drawn:
    """A run that sequences can be drawn from, with the texts of its symbols."""

    def __init__(self, folder: Path) -> None:
        run = Run(folder)
        result = run.read(RESULT, "train")
        if not result.get("ends"):
            raise RunInvalid(
                f"the sequences of '{folder}' have no end of their own: its data does not say where one is"
            )
        way: Way = "stop" if run.recipe.task == "stop_unit" else result["ends"]
        self.texts = [json.loads(line) for line in run.path(VOCABULARY).read_text(encoding="utf-8").splitlines()]
        self._about: list[str] = result["about"]
        lengths = result.get("lengths", ())
        self.model = Generative(trained_model(run), edge=result["edge"], way=way, lengths=lengths)

    def about(self, name: str) -> list[float]:
        """Give the numbers that say what a sequence is about; raises WrongUse that lists the names."""
        if not self._about and name:
            raise WrongUse("this model is not told what a sequence is about: leave --about out")
        if self._about and name not in self._about:
            raise WrongUse(f"--about '{name}' is not one of {', '.join(self._about)}")
        return [float(name == one) for one in self._about]

    def symbols(self, text: str) -> list[int]:
        """Give a text's symbols; raises WrongUse for one that the model does not know."""
        for character in text:
            if character not in self.texts:
                raise WrongUse(f"the model has no symbol '{character}'")
        return [self.texts.index(character) for character in text]


def add_generative(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands."""
    sample = _add(commands, "sample", _sample, "draw whole sequences from a trained run")
    sample.add_argument("--count", type=int, default=10, metavar="N", help="how many (default: 10)")
    sample.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed draws the same (default: 0)")
    score = _add(commands, "score", _score, "how likely a trained run finds a text: each step and the whole")
    score.add_argument("text", metavar="TEXT")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    command: Callable[[argparse.Namespace], None],
    what: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what)
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    parser.add_argument("--about", default="", metavar="NAME", help="what the sequence is about, such as a language")
    parser.set_defaults(command=command)
    return parser


def _sample(options: argparse.Namespace) -> None:
    drawn, generator = Drawn(options.run), torch.Generator().manual_seed(options.seed)
    about = drawn.about(options.about)
    for _ in range(options.count):
        symbols = drawn.model.sample(generator, about)
        sys.stdout.write("".join(drawn.texts[symbol] for symbol in symbols) + "\n")


def _score(options: argparse.Namespace) -> None:
    drawn = Drawn(options.run)
    scored = drawn.model.score(drawn.symbols(options.text), drawn.about(options.about))
    steps = list(options.text)
    # A length is scored before the first symbol, any other end after the last.
    steps = ["length", *steps] if drawn.model.way == "length" else [*steps, "end"]
    for step, value in zip(steps, scored.steps, strict=True):
        sys.stdout.write(f"{step:<8} {value:9.4f}\n")
    sys.stdout.write(f"{'total':<8} {scored.total:9.4f}  natural logarithms of probabilities\n")
