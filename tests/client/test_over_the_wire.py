"""Runs what is beside in `over_the_wire/`: tritonclient and the server's stubs cannot be in one process."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "tests" / "client" / "over_the_wire"
SUITES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "conftest"))
SECONDS = 120


@pytest.mark.parametrize("suite", SUITES)
def test_the_suite_holds_in_a_process_of_its_own(suite):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(FOLDER / f"{suite}.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
