"""The Python client and its examples against a server, each in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from demo.serving import ROOT, Serving, serving
from models.repository import Repository
from tests import zoo

pytestmark = pytest.mark.e2e

STEPS = """
import sys
import numpy as np
from client.blocking import Client
from client.errors import SequenceGone, StepConflict
for streamed in (False, True):
    with Client(sys.argv[1], streamed=streamed) as client:
        with client.sequence("sum") as sequence:
            answers = [sequence.step(x=np.full((1, 2, 1), number, np.float32)) for number in range(3)]
            print([answer["y"].ravel().tolist() for answer in answers], [answer.position for answer in answers])
            peeked = sequence.peek(x=np.full((1, 1, 1), 10, np.float32))
            print(peeked["y"].ravel().tolist(), peeked.position, sequence.position)
            name = sequence.id
        with client.sequences("sum", ["a", "b", "c"]) as many:
            for number in range(3):
                answer = many.step(x=np.full((3, 1, 1), number, np.float32))
            print(answer["y"].ravel().tolist(), answer.positions.tolist())
        answer = client.rows("sum", [name, "d"], x=np.ones((2, 1, 1), np.float32), start=np.array([False, True]))
        print([type(error).__name__ for error in answer.errors], answer["y"].ravel().tolist())
        client.rows("sum", ["d"], x=np.ones((1, 1, 1), np.float32), end=np.array([True]))
"""
SAID = """\
[[0.0, 0.0], [1.0, 2.0], [4.0, 6.0]] [2, 4, 6]
[16.0] 6 6
[3.0, 3.0, 3.0] [3, 3, 3]
['SequenceGone', 'NoneType'] [0.0, 1.0]
"""


@pytest.fixture(scope="module")
def sums(tmp_path_factory) -> Iterator[Serving]:
    repository = Repository(tmp_path_factory.mktemp("sums"))
    zoo.publish(repository, "sum", zoo.running_sum())
    with serving(repository.root) as running:
        yield running


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sequences_alone_and_many_together_go_on_over_calls_and_over_a_stream(sums):
    assert run("-c", STEPS, sums.listen) == SAID * 2


def test_the_sensor_example_runs(sums):
    assert run("-m", "examples.sensor", sums.listen, "sum").splitlines()[-1].startswith("10 ")


def test_the_example_of_many_sequences_runs(sums):
    assert run("-m", "examples.many", sums.listen, "sum").count("all answered") == 10


@pytest.mark.parametrize("example", ["sensor", "many"])
def test_an_example_that_asks_for_no_model_of_the_servers_says_so_in_a_line(sums, example):
    command = [sys.executable, "-m", f"examples.{example}", sums.listen, "none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "NOT_FOUND MODEL_NOT_FOUND" in done.stderr
