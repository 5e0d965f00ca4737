"""Processes that train: so many at once, each by its own command, begun again where it was killed."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, final

from training.errors import Interrupted
from training.sweeps.plan import Planned

ROOT = Path(__file__).parent.parent.parent
OUTPUT = "output.log"
# How often a training that was killed is begun again; it goes on from its checkpoint.
AGAIN = 3
LOOK_SECONDS = 0.2

Standing = Literal["waiting", "training", "done", "failed"]


@final
class Work:
    """A training and how it stands.

    Attributes:
        planned: what is to be trained.
        folder: of its run.
        standing: how far it is.
        killed: how often its process was killed.
        complaint: the last line of one that failed.
    """

    def __init__(self, planned: Planned, folder: Path) -> None:
        self.planned = planned
        self.folder = folder
        self.standing: Standing = "waiting"
        self.killed = 0
        self.complaint = ""


@final
class Workers:
    """Does works in processes of their own, `count` at once.

    Args:
        count: processes.
        command: of a training, to be run from the project's root.
        changed: called whenever a work stands otherwise, and every so often between.
    """

    def __init__(
        self, count: int, command: Callable[[Planned], Sequence[str]], changed: Callable[[Work | None], None]
    ) -> None:
        self._count = count
        self._command = command
        self._changed = changed
        self._running: dict[subprocess.Popen[bytes], Work] = {}

    def run(self, works: Sequence[Work]) -> None:
        """Do all; raises Interrupted after SIGINT or SIGTERM, when every process has written its checkpoint."""
        waiting, stop = deque(works), False

        def ask(_: int, __: object) -> None:
            nonlocal stop
            stop = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while (waiting or self._running) and not stop:
                while waiting and len(self._running) < self._count:
                    self._begin(waiting.popleft())
                time.sleep(LOOK_SECONDS)
                waiting.extendleft(self._ended())
                self._changed(None)
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)
        if stop:
            raise Interrupted

    def _begin(self, work: Work) -> None:
        work.folder.mkdir(parents=True, exist_ok=True)
        with (work.folder / OUTPUT).open("ab") as output:
            # A group of its own: a terminal's Ctrl-C is this process's to hand on.
            process = subprocess.Popen(
                [sys.executable, "-m", "training", *self._command(work.planned)],
                cwd=ROOT,
                env=_environment(self._count),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        self._running[process] = work
        self._stand(work, "training")

    def _ended(self) -> list[Work]:
        """Take note of the processes that have ended; gives the works that are to be begun again."""
        again = []
        for process in [one for one in self._running if one.poll() is not None]:
            work = self._running.pop(process)
            if process.returncode == 0:
                self._stand(work, "done")
            elif process.returncode < 0 and work.killed < AGAIN:
                work.killed += 1
                again.append(work)
                self._stand(work, "waiting")
            else:
                work.complaint = _last_line(work.folder / OUTPUT) or f"ended with {process.returncode}"
                self._stand(work, "failed")
        return again

    def _stop(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGINT)
        for process, work in self._running.items():
            process.wait()
            self._stand(work, "waiting")
        self._running.clear()

    def _stand(self, work: Work, standing: Standing) -> None:
        work.standing = standing
        self._changed(work)


def _environment(count: int) -> Mapping[str, str]:
    """Share the cores: trainings whose threads wait for each other's cores take longer than one after the other.

    Unbuffered, since what went wrong is the last line of what a process wrote.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    return {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONUNBUFFERED": "1"}


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("training: ") if lines else ""
