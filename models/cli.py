"""The commands over the repository of built models."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import ModelError
from models.importing import import_model
from models.loading import load_checked
from models.manifest import Manifest
from models.page import write_page
from models.repository import DEFAULT, ModelVersion, Repository
from models.tensors import NUMPY, Shape, describe_shape, fixed_shape
from models.told import add_options, told_by

OK, FAILED = 0, 1
Command = Callable[[argparse.Namespace, Repository], int]
GIB = 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrong use."""
    options = _parser().parse_args(arguments)
    try:
        command: Command = options.command
        return command(options, Repository(options.repository))
    except ModelError as error:
        sys.stderr.write(f"models: {error}\n")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description="The repository of built models.")
    default = Path(os.environ.get("RECUR_REPOSITORY", DEFAULT))
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--repository",
        type=Path,
        default=default,
        metavar="DIR",
        help="the folder of models (RECUR_REPOSITORY; default: models/built)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", parents=[shared], help="one line for every model version")
    listing.set_defaults(command=_list)
    for name, command, text in (
        ("show", _show, "what a model takes, answers and keeps for each sequence"),
        ("check", _check, "compare the files with their digests and replay the golden answers in ONNX Runtime"),
    ):
        one = commands.add_parser(name, parents=[shared], help=text)
        one.add_argument("name", metavar="NAME")
        one.add_argument("--version", type=int, metavar="N", help="default: the newest")
        one.set_defaults(command=command)
    text = "write one HTML file with the pictures of what the models have learnt"
    page = commands.add_parser("page", parents=[shared], help=text, description=text)
    page.add_argument("file", type=Path, metavar="FILE.html")
    page.add_argument("name", nargs="*", metavar="NAME", help="of models (default: all)")
    page.set_defaults(command=_page)
    text = "publish a model from elsewhere: a graph whose states are inputs and outputs"
    add_options(importing := commands.add_parser("import", parents=[shared], help=text, description=text))
    importing.set_defaults(command=_import)
    return parser


def _list(_: argparse.Namespace, repository: Repository) -> int:
    places = repository.list()
    if not places:
        sys.stdout.write(f"no models in {repository.root}; `python -m training train charlm` builds one\n")
    for place in places:
        sys.stdout.write(f"{_line(repository, place)}\n")
    return OK


def _line(repository: Repository, place: ModelVersion) -> str:
    start = f"{place.name:<20} {place.version:>4}  "
    try:
        manifest = repository.read_manifest(place)
    except ModelError as error:
        return f"{start}unreadable: {error}"
    measured = manifest.measured
    figure = "not measured" if measured.value is None else f"{measured.metric} {measured.value:.4g}"
    return f"{start}{manifest.architecture:<12} {manifest.kind:<9} {figure}"


def _show(options: argparse.Namespace, repository: Repository) -> int:
    manifest = repository.read_manifest(repository.find(options.name, options.version))
    size = state_bytes(manifest)
    lines = [f"{manifest.name} {manifest.version}: {manifest.architecture}, kind {manifest.kind}"]
    lines += [_tensor("input", tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.inputs]
    lines += [_tensor("output", tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.outputs]
    lines += [_tensor("state", state.input, state.dtype, state.shape) for state in manifest.states]
    lines += [f"  state bytes: {size} a sequence, {GIB // max(size, 1):,} sequences per GiB"]
    lines += [f"  measured: {_pairs(manifest.measured)}"]
    lines += [f"  quantized: {_pairs(manifest.quantized)}"] if manifest.quantized else []
    lines += [f"  provenance: {_pairs(manifest.provenance)}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return OK


def _tensor(role: str, name: str, dtype: str, shape: Shape) -> str:
    return f"  {role:<7} {name:<16} {dtype:<6} {describe_shape(shape)}"


def _check(options: argparse.Namespace, repository: Repository) -> int:
    place = repository.find(options.name, options.version)
    checked = load_checked(repository, place)
    sys.stdout.write(
        f"{place.name} {place.version}: files as published, golden answers within {checked.golden_error:.2g} "
        f"(tolerance {checked.manifest.tolerance:.2g})\n"
    )
    return OK


def _page(options: argparse.Namespace, repository: Repository) -> int:
    shown = write_page(options.file, repository, options.name)
    if not shown:
        sys.stderr.write(f"models: no model in {repository.root} has pictures; `python -m training train` draws them\n")
        return FAILED
    _say(f"{options.file}: {', '.join(shown)}")
    return OK


def _import(options: argparse.Namespace, repository: Repository) -> int:
    place = import_model(repository, options.name, options.file, told_by(options), say=_say)
    load_checked(repository, place)
    _say(f"published and checked: {place.folder}")
    options.version = place.version
    return _show(options, repository)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def state_bytes(manifest: Manifest) -> int:
    """Bytes of state that a live sequence holds, its free axes counted as one."""
    return sum(NUMPY[state.dtype].itemsize * math.prod(fixed_shape(state.shape)) for state in manifest.states)


def _pairs(part: object) -> str:
    fields = ((name, getattr(part, name)) for name in part.__struct_fields__)  # type: ignore[attr-defined]  # a msgspec.Struct
    return ", ".join(f"{name} {value}" for name, value in fields if value is not None)
