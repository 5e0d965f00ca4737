"""Processes on a core each: what is measured on the first, the load on the last."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORES = sorted(os.sched_getaffinity(0))
MEASURED, LOAD = CORES[0], CORES[-1]
SECONDS = 60


def start(module: str, *arguments: str, core: int) -> subprocess.Popen[str]:
    """Start a module on one core, its stdout to be read."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    pin(process.pid, core)
    return process


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process, and those that they will start, on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def measure(module: str, *arguments: str, core: int) -> float:
    """Run a module to its end on one core; gives the number that it prints."""
    with start(module, *arguments, core=core) as process:
        printed, _ = process.communicate(timeout=SECONDS)
    if process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    return float(printed)
