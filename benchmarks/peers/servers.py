"""Peers' servers: each a process of an environment of its own, all that it starts on the measured core."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import MEASURED, ROOT, Unmeasured
from benchmarks.requests import FEATURES, HIDDEN

ENVIRONMENTS, SCRIPTS = ROOT / "build" / "peers", Path(__file__).parent
STOP_SECONDS = 30


class Peer(NamedTuple):
    """How a peer is asked: the load, its arguments after the address and before the callers."""

    load: str
    arguments: tuple[str, ...]
    after: tuple[str, ...] = ()


PEERS: Mapping[str, Peer] = {
    "triton": Peer("benchmarks.load", ("keyed",), ("1",)),
    "mosec": Peer("benchmarks.peers.posts", ("/inference", "bytes")),
    "litserve": Peer("benchmarks.peers.posts", ("/predict", "json")),
}


@contextmanager
def peer_server(name: str, graph: Path) -> Iterator[str]:
    """Start a peer, and wait until it says where it serves; gives its address."""
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        raise Unmeasured(f"{name} is not installed; `make bench-peers` does it")
    values = {"GRAPH": str(graph), "HIDDEN": str(HIDDEN), "FEATURES": str(FEATURES), "OMP_NUM_THREADS": "1"}
    with _on_core(MEASURED):
        process = subprocess.Popen(
            [python, SCRIPTS / f"{name}_server.py"],
            env={**os.environ, **values},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield _address(name, process)
    finally:
        _end(process)


@contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Let what is started meanwhile, and all that it starts, run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _address(name: str, process: subprocess.Popen[str]) -> str:
    """Read the line that is an address: a peer may say other things first."""
    assert process.stdout is not None
    for line in process.stdout:
        host, _, port = line.strip().rpartition(":")
        if host == "127.0.0.1" and port.isdigit():
            return line.strip()
    raise Unmeasured(f"{name} has ended before it served")


def _end(process: subprocess.Popen[str]) -> None:
    """Ask it to stop, then end whatever of its group is left."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
