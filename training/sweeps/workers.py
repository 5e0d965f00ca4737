"""Where a sweep's trainings are done, and the processes of this machine that do them."""

import abc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import final

from typing_extensions import override

from training.sweeps.plan import Planned
from training.sweeps.work import OUTPUT, Work

ROOT = Path(__file__).parent.parent.parent

# Of a training: the arguments of `python -m training`, from the project's root.
Command = Callable[[Planned], Sequence[str]]


class Workers(abc.ABC):
    """Does trainings side by side, and tells how each ended."""

    @property
    @abc.abstractmethod
    def are_free(self) -> bool:
        """Whether another training can begin."""

    @abc.abstractmethod
    def begin(self, work: Work) -> None:
        """Begin a training; it writes what it says into its run's folder."""

    @abc.abstractmethod
    def interrupt(self, work: Work) -> None:
        """Ask a training to stop as soon as its checkpoint is written."""

    @abc.abstractmethod
    def ended(self) -> list[tuple[Work, int]]:
        """Give the trainings that have ended since it was last asked, each with its exit code; killed: below zero."""


@final
class Processes(Workers):
    """Does trainings in processes of their own, `count` at once."""

    def __init__(self, count: int, command: Command) -> None:
        self._count = count
        self._command = command
        self._running: dict[Work, subprocess.Popen[bytes]] = {}

    @property
    @override
    def are_free(self) -> bool:
        return len(self._running) < self._count

    @override
    def begin(self, work: Work) -> None:
        work.folder.mkdir(parents=True, exist_ok=True)
        with (work.folder / OUTPUT).open("ab") as output:
            # A group of its own: a terminal's Ctrl-C is this process's to hand on.
            self._running[work] = subprocess.Popen(
                [sys.executable, "-m", "training", *self._command(work.planned)],
                cwd=ROOT,
                env=_environment(self._count),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )

    @override
    def interrupt(self, work: Work) -> None:
        self._running[work].send_signal(signal.SIGINT)

    @override
    def ended(self) -> list[tuple[Work, int]]:
        codes = [(work, process.poll()) for work, process in self._running.items()]
        found = [(work, code) for work, code in codes if code is not None]
        for work, _ in found:
            del self._running[work]
        return found


def _environment(count: int) -> Mapping[str, str]:
    """Share the cores: trainings whose threads wait for each other's cores take longer than one after the other.

    Unbuffered, since what went wrong is the last line of what a process wrote.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    return {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONUNBUFFERED": "1"}
