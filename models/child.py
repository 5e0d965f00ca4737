"""Runs a command in a forked child, since an odd graph can end the process that loads it."""

import os
import signal
import sys
from collections.abc import Callable

FAILED, INTERRUPTED = 1, 130


def in_child(command: Callable[[], int]) -> int:
    """Run a command and give its exit code; if a signal ended it, say so in a sentence instead of dying of it too."""
    # Ctrl-C reaches the child too, which ends in its own way; this process waits for that.
    answer = signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, answer)
        sys.exit(_interruptible(command))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    sys.stderr.write(
        f"models: the graph ends ONNX Runtime's process ('{signal.strsignal(-code)}'); "
        "export it with other operators or datatypes\n"
    )
    return FAILED


def _interruptible(command: Callable[[], int]) -> int:
    try:
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
