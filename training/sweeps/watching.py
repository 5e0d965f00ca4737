"""What a person sees of a sweep: a live table on a terminal, elsewhere a line whenever a training stands otherwise."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from training.run import RESULT, Run
from training.sweeps.workers import Work
from training.tasks import TASKS
from training.trainer import LOG


class Watcher(Protocol):
    """Told of every change, and every so often of none."""

    def __call__(self, work: Work | None) -> None:
        """Show it."""
        ...


def progress_of(work: Work) -> str:
    """Say how far a training is, or what it reached, or what went wrong."""
    if work.standing == "failed":
        return work.complaint
    if work.standing == "done":
        result = Run(work.folder).read(RESULT, "train")
        metric = TASKS[work.planned.recipe.task].metric.replace("_", " ")
        return f"{result['held_out']:.4g} {metric} in {result['seconds']:.0f} s"
    said = [f"killed {work.killed} times"] if work.killed else []
    try:
        last = json.loads((work.folder / LOG).read_text(encoding="utf-8").splitlines()[-1])
        budget = work.planned.recipe.training.updates
        said.insert(0, f"update {last['update']}/{budget}, validation {last['validation']:.4g}")
    except (OSError, IndexError, ValueError):
        pass  # nothing is validated yet, or the line is being written
    return ", ".join(said)


def _name(work: Work) -> str:
    recipe = work.planned.recipe
    return f"{recipe.name} {work.planned.varied}".strip() + f" seed {recipe.training.seed}"


def _table(works: Sequence[Work], began: float) -> Table:
    done = sum(work.standing == "done" for work in works)
    shown = Table(title=f"{done} of {len(works)} done, {time.monotonic() - began:.0f} s")
    for column in ("training", "stands", "progress"):
        shown.add_column(column)
    for work in works:
        shown.add_row(_name(work), work.standing, progress_of(work))
    return shown


def _say(work: Work | None) -> None:
    if work is not None:
        sys.stdout.write(f"{work.standing:<9} {_name(work)}  {progress_of(work)}".rstrip() + "\n")
        sys.stdout.flush()


@contextmanager
def watching(works: Sequence[Work]) -> Iterator[Watcher]:
    """Choose the way to show works."""
    console, began = Console(), time.monotonic()
    if not console.is_terminal:
        yield _say
        return
    with Live(_table(works, began), console=console, refresh_per_second=2) as live:
        yield lambda _: live.update(_table(works, began))
