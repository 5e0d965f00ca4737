"""A training on another machine: the task that attends to it there, and its process, which ends with the task's.

`python -m training.sweeps.attended PID …` is `python -m training …` until the process PID, which began it, is gone.
"""

import ctypes
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

LOOK_SECONDS = 0.2
# Of prctl(2): the signal that this process gets when the one that began it ends.
PR_SET_PDEATHSIG = 1


def attend(arguments: Sequence[str], root: str, output: str, environment: Mapping[str, str]) -> int:
    """Train in a process; an interrupt is handed on, and what it ends with is given.

    Args:
        arguments: of `python -m training`.
        root: the project's folder, which this machine has at the same place.
        output: a file, to which is added what is said.
        environment: beside this machine's own.
    """
    with open(output, "ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "training.sweeps.attended", str(os.getpid()), *arguments],
            cwd=root,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    while True:
        try:
            if (code := process.poll()) is not None:
                return code
            time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


def _end_with(process: int) -> None:
    """Have the kernel kill this process when the one that began it ends, however that does.

    A node that is gone leaves nobody behind who writes to the run that another node goes on with.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != process:
        sys.exit("the process that attended to this training is gone")


if __name__ == "__main__":
    _end_with(int(sys.argv.pop(1)))
    # Ray blocks it in its workers, and a process begins with what its parent blocks.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    runpy.run_module("training", run_name="__main__", alter_sys=True)
