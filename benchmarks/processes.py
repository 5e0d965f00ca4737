"""Processes on a core each: what is measured on the first, the load on the last."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.requests import FEATURES, HIDDEN, MODEL
from demo.serving import Serving, serving
from models.repository import Repository
from tests import zoo

ROOT = Path(__file__).parent.parent
CORES = sorted(os.sched_getaffinity(0))
MEASURED, LOAD = CORES[0], CORES[-1]
SECONDS = 120
RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


class Unmeasured(Exception):  # noqa: N818  named after what happened
    """A work could not be measured, for the reason in its sentence."""


def start(module: str, *arguments: str, core: int, stderr: int | None = None) -> subprocess.Popen[str]:
    """Start a module on one core, its stdout to be read; stderr is this process's unless said otherwise."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=stderr)
    pin(process.pid, core)
    return process


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process, and those that they will start, on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def measure(module: str, *arguments: str, core: int) -> float:
    """Run a module to its end on one core; gives the number that it prints, or raises Unmeasured with its last line."""
    with start(module, *arguments, core=core, stderr=subprocess.PIPE) as process:
        try:
            printed, complaint = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise Unmeasured(f"{module} had not ended after {SECONDS} s") from error
        finally:
            process.kill()
    if process.returncode:
        raise Unmeasured(complaint.strip().rpartition("\n")[2] or f"{module} ended with {process.returncode}")
    return float(printed)


@contextmanager
def echo_server(module: str = "benchmarks.echo") -> Iterator[str]:
    """Serve an echo on the measured core; gives its address."""
    with start(module, core=MEASURED) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def repository_of(model: zoo.ZooModel) -> Iterator[Path]:
    """Publish one model under the name of the requests, in a repository that lasts as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        zoo.publish(Repository(Path(folder)), MODEL, model)
        yield Path(folder)


@contextmanager
def recur_server(model: zoo.ZooModel, *flags: str) -> Iterator[Serving]:
    """Serve one model on the measured core."""
    with repository_of(model) as repository, serving(repository, *flags) as server:
        pin(server.process.pid, MEASURED)
        yield server


@contextmanager
def graph_file(model: zoo.ZooModel) -> Iterator[Path]:
    """Write the model's graph into a file that lasts as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, zoo.GRAPH)
        path.write_bytes(model.graph)
        yield path


def lstm() -> zoo.ZooModel:
    """Make the model of all works that compute."""
    return zoo.lstm(FEATURES, HIDDEN, FEATURES)


def resident_bytes(pid: int) -> int:
    """Read how much of a process is in memory."""
    found = RESIDENT.search(Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    if not found:
        raise Unmeasured("the server has ended")
    return int(found[1]) * 1024
