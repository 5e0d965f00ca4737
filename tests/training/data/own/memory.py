"""What a process of its own takes, for tests of files that are larger than what is read at a time."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# The high-water mark of the process itself: that of getrusage begins with its parent's.
_MEASURED = """
import pathlib, re
status = pathlib.Path("/proc/self/status").read_text()
sys.stdout.write(" " + re.search(r"VmHWM:\\s*(\\d+) kB", status)[1])
"""


def run_measured(program: str, path: Path) -> tuple[str, int]:
    """Run a program that imports sys on a file; gives what it printed, and the most memory that was resident, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", program + _MEASURED, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said, peak = done.stdout.split()
    return said, int(peak) // 1024
