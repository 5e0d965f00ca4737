"""A sweep's trainings on the nodes of a Ray cluster, all of which have the project and its runs at the same place."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import ray
from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from typing_extensions import override

from training.errors import WrongUse
from training.sweeps.attended import attend
from training.sweeps.work import OUTPUT, Work
from training.sweeps.workers import ROOT, Command, Workers

KILLED, INTERRUPTED, FAILED = -9, 130, 1
CONNECT_SECONDS = 5


@final
class RayWorkers(Workers):
    """Does each training in a task of one CPU; one whose node is gone was killed, and is begun again elsewhere.

    Args:
        count: tasks at once; as many as the cluster has CPUs unless given.
        command: of a training.
    """

    def __init__(self, count: int | None, command: Command) -> None:
        self._count = count
        self._command = command
        # Ray begins nothing again by itself: a sweep counts how often it does.
        self._task = ray.remote(num_cpus=1, max_retries=0)(attend)
        self._environment = {name: value for name, value in os.environ.items() if name.startswith("RECUR_")}
        self._running: dict[ray.ObjectRef[int], Work] = {}

    @property
    @override
    def are_free(self) -> bool:
        # Where there is no node at this time, a task waits for one.
        return len(self._running) < (self._count or max(1, _cpus()))

    @override
    def begin(self, work: Work) -> None:
        work.folder.mkdir(parents=True, exist_ok=True)
        output = str((work.folder / OUTPUT).resolve())
        task = self._task.remote(list(self._command(work.planned)), str(ROOT), output, self._environment)
        self._running[task] = work

    @override
    def interrupt(self, work: Work) -> None:
        [task] = [task for task, other in self._running.items() if other is work]
        ray.cancel(task)

    @override
    def ended(self) -> list[tuple[Work, int]]:
        if not self._running:
            return []
        tasks, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [(work, _code(task, work)) for task in tasks if (work := self._running.pop(task))]


def _check_address(address: str) -> None:
    """Raise WrongUse where nobody listens, for whom Ray waits minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise WrongUse(f"--ray {address}: HOST:PORT is expected, as `ray start --head` says it")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise WrongUse(f"--ray {address}: no cluster is there: {error}") from error


def _cpus() -> int:
    """Count the CPUs of all nodes that are there."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call] # Ray does not type it
    return int(resources.get("CPU", 0))


def _code(task: "ray.ObjectRef[int]", work: Work) -> int:
    """Give what a training ended with, whatever became of its task."""
    try:
        return ray.get(task)
    except TaskCancelledError:
        return INTERRUPTED
    except RayTaskError as error:
        with (work.folder / OUTPUT).open("a", encoding="utf-8") as output:
            output.write(f"the task on a node failed: {error.cause}\n")
        return FAILED
    except RayError:
        return KILLED


@contextmanager
def ray_workers(address: str, count: int | None, command: Command) -> Iterator[RayWorkers]:
    """Join a cluster for a while; raises WrongUse where there is none that can be joined."""
    _check_address(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise WrongUse(f"--ray {address}: this cluster cannot be joined: {' '.join(str(error).split())}") from error
    try:
        yield RayWorkers(count, command)
    finally:
        ray.shutdown()
