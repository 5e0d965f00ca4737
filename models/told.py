"""What a person tells `models import` about a graph, as options of the command line."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.tensors import TIME, Shape

TimeAxis = Literal["none", "1"]

EXAMPLE = """example, a graph whose states are [layers, batch, hidden] and begin at zero:
  python -m models import speech.onnx --name speech --state h0:hn c0:cn --batch-axis h0=1 c0=1

What is not told is guessed from the graph, and printed.
"""


@dataclass(frozen=True, slots=True)
class Told:
    """The options, by the graph's names; what is absent is guessed.

    Attributes:
        states: `INPUT:OUTPUT` pairs, in place of all guesses.
        batch_axes: a state's axis of the batch.
        initial: a file with a state's initial value.
        shapes: a tensor's shape without its batch axis.
        values: the number that an input must be for the graph to run.
    """

    states: tuple[str, ...] = ()
    batch_axes: dict[str, int] = field(default_factory=dict)
    initial: dict[str, Path] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    time_axis: TimeAxis | None = None
    lengths: str | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the parser of `models import` its options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument("file", type=Path, metavar="FILE", help="the ONNX file")
    parser.add_argument("--name", required=True, metavar="NAME", help="the model's name in the repository")
    for option, kind, metavar, text in (
        ("--state", str, "IN:OUT", "a state's input and output; given once, no pair is guessed"),
        ("--batch-axis", _axis, "STATE=1", "the axis of a state that is the batch"),
        ("--initial", _file, "STATE=FILE.npy", "a state's value when a sequence begins, without the batch axis"),
        ("--shape", _shape, "NAME=time,32", "an input's or state's shape, without the batch axis"),
        ("--value", _value, "INPUT=16000", "the one number of an input with which the graph is tried"),
    ):
        parser.add_argument(option, type=kind, metavar=metavar, nargs="+", action="extend", default=[], help=text)
    parser.add_argument("--time-axis", choices=("none", "1"), help="where inputs have their time; none: one step a run")
    parser.add_argument("--lengths", metavar="INPUT", help="the input of each row's valid steps, int64 [batch]")


def told_by(options: argparse.Namespace) -> Told:
    """Gather the parsed options."""
    return Told(
        states=tuple(options.state),
        batch_axes=dict(options.batch_axis),
        initial=dict(options.initial),
        shapes=dict(options.shape),
        values=dict(options.value),
        time_axis=options.time_axis,
        lengths=options.lengths,
    )


def _axis(text: str) -> tuple[str, int]:
    name, value = _split(text)
    return name, int(value)


def _file(text: str) -> tuple[str, Path]:
    name, value = _split(text)
    return name, Path(value)


def _value(text: str) -> tuple[str, float]:
    name, value = _split(text)
    return name, float(value)


def _shape(text: str) -> tuple[str, Shape]:
    name, value = _split(text)
    shape = tuple(TIME if axis == TIME else int(axis) for axis in value.split(",") if axis)
    if any(isinstance(axis, int) and axis < 1 for axis in shape):
        raise argparse.ArgumentTypeError(f"'{text}' has a size below 1")
    return name, shape


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"'{text}' must be NAME=VALUE")
    return name, value
