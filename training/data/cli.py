"""The commands of data: which sets there are, bringing them, and a look at the user's own."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from training.data import store
from training.data.fetch import PUBLIC, Shown, fetch
from training.data.listing import as_lines, as_markdown, rows
from training.data.own.check import check_recipe
from training.errors import WrongUse

EXAMPLE = """example:
  python -m training data fetch names polymusic

Sets are put in RECUR_DATA, or in ~/.cache/recur where that is not set. A download that was stopped goes on where it was
when the same command is given again.
"""


def add_data(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `data list`, `data fetch` and `data check` to the commands of training."""
    data = commands.add_parser("data", help="the data sets: list them, fetch them, check your own")
    data_commands = data.add_subparsers(required=True, metavar="COMMAND")
    _add_list(data_commands)
    _add_fetch(data_commands)
    checking = data_commands.add_parser("check", help="read your own data, and say what is in it and what is wrong")
    checking.add_argument("recipe", type=Path, metavar="RECIPE", help="a .toml file with the table [data]")
    checking.set_defaults(command=lambda options: sys.stdout.write(check_recipe(options.recipe)))


def _add_list(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listing = commands.add_parser("list", help="every set: its task, counts, licence, and whether it is here")
    form = listing.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs, with citations and sources")
    form.add_argument("--markdown", action="store_true", help="the tables of docs/data.md")
    listing.set_defaults(command=_list)


def _add_fetch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    fetching = commands.add_parser(
        "fetch",
        help="bring sets to this machine, checked against their sums",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fetching.add_argument("names", nargs="+", metavar="NAME", help="a name from `data list`")
    fetching.add_argument(
        "--mirror",
        default=os.environ.get("RECUR_DATA_MIRROR", PUBLIC),
        metavar="URL",
        help=f"where files are as REPOSITORY/COMMIT/PATH (RECUR_DATA_MIRROR; default: {PUBLIC})",
    )
    fetching.set_defaults(command=_fetch)


def _list(options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps([row.as_json() for row in rows()], indent=2) + "\n")
    else:
        sys.stdout.write(as_markdown() if options.markdown else as_lines())


def _fetch(options: argparse.Namespace) -> None:
    if urllib3.util.parse_url(options.mirror).scheme not in ("http", "https"):
        raise WrongUse(f"--mirror {options.mirror}: an address that begins with http:// or https:// is expected")
    chosen = {name: store.find(name) for name in options.names}
    for name, data_set in chosen.items():
        with _bar(name) as shown:
            fetch(data_set, store.root() / name, options.mirror, shown)
        sys.stdout.write(f"{name} is in '{store.root() / name}'; licence: {data_set.licence}\n")


@contextmanager
def _bar(name: str) -> Iterator[Shown]:
    """Show a bar for the file that comes, on a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(name, total=None)

        def shown(path: str, there: int, total: int | None) -> None:
            progress.update(task, description=f"{name}/{path}", completed=there, total=total)

        yield shown
