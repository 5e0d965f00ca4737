"""What a person sees while a model trains: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text
from typing_extensions import override


class Reporter(Protocol):
    """Told of every update and validation."""

    def updated(self, update: int, loss: float) -> None:
        """Show an update and its loss."""
        ...

    def validated(self, update: int, train: float, validation: float) -> None:
        """Show a validation: the loss in training since the last one, and in validation."""
        ...


class _Rate(ProgressColumn):
    """Updates a second."""

    @override
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f} updates/s")


class Silent:
    """Shows nothing: the reporter of every process but the first."""

    def updated(self, update: int, loss: float) -> None:
        """Show nothing."""

    def validated(self, update: int, train: float, validation: float) -> None:
        """Show nothing."""


class Lines:
    """A line at each validation, for logs."""

    def __init__(self, updates: int, done: int, unit: str) -> None:
        self._updates, self._from, self._began, self._unit = updates, done, time.monotonic(), unit

    def updated(self, update: int, loss: float) -> None:
        """Show nothing between validations."""

    def validated(self, update: int, train: float, validation: float) -> None:
        """Print losses, speed and the time left."""
        rate = (update - self._from) / (time.monotonic() - self._began)
        sys.stdout.write(
            f"update {update}/{self._updates}  train {train:.3f}  validation {validation:.3f} {self._unit}  "
            f"{rate:.1f} updates/s  {(self._updates - update) / rate:.0f} s left\n"
        )
        sys.stdout.flush()


class OnTerminal:
    """A bar with the loss, the speed and the time left."""

    def __init__(self, bar: Bar, updates: int, done: int, unit: str) -> None:
        self._bar, self._unit = bar, unit
        self._task = bar.add_task("train", total=updates, completed=done, loss="", validation="")

    def updated(self, update: int, loss: float) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=update, loss=f"{loss:.3f} {self._unit}")

    def validated(self, update: int, train: float, validation: float) -> None:
        """Show the newest validation beside the bar."""
        self._bar.update(self._task, validation=f"validation {validation:.3f}")


@contextmanager
def reporter(updates: int, done: int, *, unit: str, shown: bool) -> Iterator[Reporter]:
    """Choose the way to report: nothing, a bar on a terminal, or lines."""
    console = Console()
    if not shown:
        yield Silent()
    elif not console.is_terminal:
        yield Lines(updates, done, unit)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[validation]}"),
            _Rate(),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=console) as bar:
            yield OnTerminal(bar, updates, done, unit)
