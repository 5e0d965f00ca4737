"""perf_analyzer, the load generator that people have, drives sequences without an error."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from demo.serving import ROOT, Serving
from tests.conftest import require

pytestmark = pytest.mark.e2e

FOLDER = ROOT / "build" / "perf_analyzer"
SECONDS = 120


@pytest.fixture
def perf_analyzer() -> list[str]:
    program = FOLDER / "bin" / "perf_analyzer"
    require(program.exists(), "perf_analyzer is not installed; `make test` installs it")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(FOLDER / "nvidia" / "cuda_runtime" / "lib")}
    started = subprocess.run([program, "--version"], env=environment, capture_output=True, text=True, check=False)
    require("error while loading shared libraries" not in started.stderr, started.stderr.strip())
    return ["env", f"LD_LIBRARY_PATH={environment['LD_LIBRARY_PATH']}", str(program)]


@pytest.mark.parametrize("way", [["--streaming", "--async"], ["--sync"]], ids=["stream", "unary"])
def test_perf_analyzer_drives_sequences_without_an_error(
    perf_analyzer: list[str], way: list[str], server: Serving, tmp_path: Path
):
    command = [*perf_analyzer, "-m", "lstm", "-u", server.listen, "-i", "grpc", "--shape", "x:1,32", *way]
    command += ["--concurrency-range", "4", "--sequence-length", "20", "--measurement-mode", "count_windows"]
    command += ["--measurement-request-count", "200", "-r", "3", "-s", "999"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    throughput = re.search(r"Throughput: ([\d.]+) infer/sec", done.stdout)
    assert throughput, done.stdout
    assert float(throughput[1]) > 0
    assert not re.search(r"fail|error", done.stdout + done.stderr, re.IGNORECASE), done.stdout + done.stderr
