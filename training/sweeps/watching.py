"""What a person sees of a sweep: a live table on a terminal, elsewhere a line whenever a training stands otherwise."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from training.run import RESULT, Run
from training.sweeps.sweeping import Source
from training.sweeps.work import Work, validations_of
from training.tasks import TASKS


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
    if validations := validations_of(work.folder):
        update, loss, _ = validations[-1]
        said.insert(0, f"update {update}/{work.planned.recipe.training.updates}, validation {loss:.4g}")
    return ", ".join(said)


def _name(work: Work) -> str:
    recipe = work.planned.recipe
    return f"{recipe.name} {work.planned.varied}".strip() + f" seed {recipe.training.seed}"


def counted(works: Sequence[Work], total: int) -> str:
    """Say how many are done, and how many were pruned."""
    done, pruned = (sum(work.standing == standing for work in works) for standing in ("done", "pruned"))
    return f"{done} of {total} done" + (f", {pruned} pruned" if pruned else "")


def _table(source: Source, began: float) -> Table:
    shown = Table(title=f"{counted(source.works, source.total)}, {time.monotonic() - began:.0f} s")
    for column in ("training", "stands", "progress"):
        shown.add_column(column)
    for work in source.works:
        shown.add_row(_name(work), work.standing, progress_of(work))
    return shown


def _say(work: Work | None) -> None:
    if work is not None:
        sys.stdout.write(f"{work.standing:<9} {_name(work)}  {progress_of(work)}".rstrip() + "\n")
        sys.stdout.flush()


@contextmanager
def watching(source: Source) -> Iterator[Watcher]:
    """Choose the way to show a sweep."""
    console, began = Console(), time.monotonic()
    if not console.is_terminal:
        yield _say
        return
    with Live(_table(source, began), console=console, refresh_per_second=2) as live:
        yield lambda _: live.update(_table(source, began))
