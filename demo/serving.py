"""A server as a process of its own, on ports that the system chooses."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SERVING = re.compile(r" serving listen=(\S+) metrics=(\S+)")
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a server listens, HOST:PORT, and the lines it has logged."""

    listen: str
    metrics: str
    log: list[str]
    process: subprocess.Popen[str]


@contextmanager
def serving(repository: Path, *flags: str, program: str = "server") -> Iterator[Serving]:
    """Start a server, wait until it serves, and stop it with SIGTERM; raises RuntimeError where it does not start."""
    command = [sys.executable, "-m", program, "--repository", str(repository)]
    command += ["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", *flags]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            listen, metrics, log = _addresses(process)
            yield Serving(listen, metrics, log, process)
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _addresses(process: subprocess.Popen[str]) -> tuple[str, str, list[str]]:
    assert process.stderr is not None
    log: list[str] = []
    for line in process.stderr:
        log.append(line)
        if found := SERVING.search(line):
            # Read on, so that a full pipe never stops the server.
            threading.Thread(target=log.extend, args=(process.stderr,), daemon=True).start()
            return found[1], found[2], log
    raise RuntimeError("the server did not start:\n" + "".join(log))
