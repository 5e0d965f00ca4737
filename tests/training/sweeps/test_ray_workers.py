"""A sweep on a cluster of two nodes, both of them on loopback."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from training.checkpoint import FILE as CHECKPOINT
from training.cli import main
from training.run import RESULT, Run
from training.sweeps.work import OUTPUT, validations_of

QUIET = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_health_check_period_ms": "500"}
SETS = [
    "training.updates=150",
    "training.validate_every=10",
    "training.patience=15",
    "data.options.count=200",
    "model.hidden_size=8",
]


def command_of(process: int) -> bytes:
    """What a process was begun with; nothing of one that has ended."""
    path = Path(f"/proc/{process}/cmdline")
    return path.read_bytes() if path.exists() else b""


class Node:
    """A node of a cluster and its processes."""

    def __init__(self, log: Path, *arguments: str) -> None:
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus", "1", *arguments]
        command += ["--node-ip-address", "127.0.0.1", "--object-store-memory", str(80 * 2**20), "--disable-usage-stats"]
        self.log = log
        with log.open("wb") as said:
            self.process = subprocess.Popen(command, env=QUIET, stdout=said, stderr=said, stdin=subprocess.DEVNULL)

    def wait_for(self, pattern: str) -> str:
        until = time.monotonic() + 120
        while (found := re.search(pattern, self.log.read_text())) is None:
            assert time.monotonic() < until, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        return found[1]

    def processes(self) -> list[int]:
        found = [self.process.pid]
        for process in found:
            for tasks in Path(f"/proc/{process}/task").glob("*/children"):
                found += map(int, tasks.read_text().split())
        return found

    def kill(self) -> None:
        """Kill all but the trainings, which are to end with the rest: two machines never write to one run."""
        trainings = [process for process in self.processes() if b"training.sweeps.attended" in command_of(process)]
        assert trainings
        for process in set(self.processes()) - set(trainings):
            os.kill(process, signal.SIGKILL)
        self.process.wait()
        until = time.monotonic() + 10
        while any(command_of(process) for process in trainings):
            assert time.monotonic() < until
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process.poll() is None:
            left = self.processes()
            self.process.terminate()
            self.process.wait(30)
            for process in left:
                if Path(f"/proc/{process}").exists():
                    os.kill(process, signal.SIGKILL)


@contextmanager
def cluster() -> Iterator[tuple[str, Node]]:
    """Two nodes of one CPU; gives the address, and the second."""
    # A socket's path may have 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    nodes = []
    try:
        head = Node(
            folder / "head.log", "--head", "--port", "0", "--temp-dir", str(folder), "--include-dashboard", "false"
        )
        nodes.append(head)
        address = head.wait_for(r"--address='([\d.:]+)'")
        second = Node(folder / "second.log", "--address", address)
        nodes.append(second)
        second.wait_for(r"(Ray runtime started)")
        yield address, second
    finally:
        for node in reversed(nodes):
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def trained_by(node: Node) -> set[str]:
    """The seeds of what a node trains."""
    commands = [command_of(process).decode() for process in node.processes()]
    return {found[1] for command in commands if (found := re.search(r"training\.seed=(\d)", command))}


def seeds_with(file: str, runs: Path) -> set[str]:
    """The seeds of the runs that have a file."""
    return {str(Run(path.parent).recipe.training.seed) for path in runs.glob(f"*/{file}")}


def sweep(address: str, runs: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "training", "sweep", "adding_gru", "--runs", str(runs), "--ray", address]
    command += [*(part for changed in SETS for part in ("--set", changed)), *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait(process: subprocess.Popen[str], until: Callable[[], object]) -> None:
    last = time.monotonic() + 120
    while not until():
        assert time.monotonic() < last, process.communicate()
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


@pytest.mark.e2e
def test_a_training_whose_node_is_gone_goes_on_on_another_and_one_that_is_stopped_keeps_its_checkpoint(
    tmp_path,
):
    with cluster() as (address, second):
        process = sweep(address, tmp_path, "--seeds", "2")
        wait(process, lambda: trained_by(second) & seeds_with(CHECKPOINT, tmp_path))
        [seed] = trained_by(second)
        second.kill()
        assert seed not in seeds_with(RESULT, tmp_path), "it ended by itself"
        said, wrong = process.communicate(timeout=120)
        assert process.returncode == 0, wrong
        assert len(re.findall(r"^done ", said, re.MULTILINE)) == 2
        [update] = re.findall(r"^training .* update (\d+)/150, validation [\d.]+, killed 1 times", said, re.MULTILINE)
        assert int(update) >= 10
        assert "| adding_gru |" in said
        for folder in tmp_path.glob("adding_gru-*"):
            assert [validation.update for validation in validations_of(folder)] == list(range(10, 151, 10))
            assert (folder / OUTPUT).read_text().count("update 10/150") == 1, "it went on, and did not begin anew"

        process = sweep(address, tmp_path / "stopped", "--set", "training.updates=4000")
        wait(process, lambda: seeds_with(CHECKPOINT, tmp_path / "stopped"))
        process.send_signal(signal.SIGINT)
        _, wrong = process.communicate(timeout=60)
        assert (process.returncode, "goes on from the checkpoint" in wrong) == (130, True), wrong
        [output] = (tmp_path / "stopped").glob("*/output.log")
        assert output.read_text().splitlines()[-1].startswith("training: stopped; ")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", "no cluster is there: [Errno 111] Connection refused"),
        ("127.0.0.1:99999", "no cluster is there: "),
        ("head", "HOST:PORT is expected"),
    ],
)
def test_an_address_of_no_cluster_is_told_in_one_line(tmp_path, capsys, address, sentence):
    assert main(["sweep", "adding_gru", "--runs", str(tmp_path), "--ray", address]) == 2
    wrong = capsys.readouterr().err
    assert wrong.startswith(f"training: --ray {address}: {sentence}")
    assert wrong.count("\n") == 1


def test_without_ray_a_sweep_on_a_cluster_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "training.sweeps.ray_workers", raising=False)
    assert main(["sweep", "adding_gru", "--runs", str(tmp_path), "--ray", "127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == "training: --ray needs ray, which is not installed: pip install '.[ray]'\n"
