"""The whole way, small: a text becomes a model, and the model is streamed to."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.serving import ROOT, serving
from models.repository import Repository
from tests import zoo

pytestmark = pytest.mark.e2e

SECONDS = 120
TINY = ("training.updates=20", "training.validate_every=10", "training.batch=4", "training.steps=20",
        "model.hidden_size=16", "model.embedding_size=8")  # fmt: skip


def demo(folder: Path, text: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", "--text", str(text)]
    command += ["--repository", str(folder / "models"), "--runs", str(folder / "runs")]
    command += [part for setting in TINY for part in ("--set", setting)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_a_users_text_is_learned_served_and_scored_alike_by_torch_and_by_the_server(tmp_path: Path):
    text = tmp_path / "text.txt"
    # The last tenth has a character that training never sees: it is scored as the symbol for all others.
    text.write_text("to be or not to be, that is the question. " * 120 + "ß" + "to be. " * 40, encoding="utf-8")
    done = demo(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = dict(re.findall(r"(this model, \w+(?: \w+)?|unigram|bz2|xz) +([\d.]+) bits per character", done.stdout))
    assert figures["this model, served"] == figures["this model, in torch"]
    assert set(figures) >= {"unigram", "bz2", "xz"}
    assert re.search(r"p50 +[\d.]+ ms\np95 +[\d.]+ ms\np99 +[\d.]+ ms", done.stdout)
    assert Repository(tmp_path / "models").find("mytext").version == 1
    again = demo(tmp_path, text)
    assert "train: done before" in again.stdout
    assert "publish: done before" in again.stdout


def test_an_empty_text_is_one_line_and_no_traceback(tmp_path: Path):
    text = tmp_path / "empty.txt"
    text.touch()
    done = demo(tmp_path, text)
    assert done.returncode == 1
    assert f"'{text}' is empty" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_text_that_is_not_there_is_named_in_one_line(tmp_path: Path):
    done = demo(tmp_path, tmp_path / "none.txt")
    assert done.returncode == 2
    assert done.stderr == f"demo: TEXT: there is no file '{tmp_path / 'none.txt'}'; give the path of a text file\n"


def test_the_client_of_the_readme_runs_as_it_is_written(tmp_path: Path):
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block
    zoo.publish(Repository(tmp_path), "charlm", zoo.ledger())
    with serving(tmp_path) as server:
        program = block[1].replace("127.0.0.1:8001", server.listen)
        program += "\nprint(first.as_numpy('y').tolist(), again.as_numpy('y').tolist())"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    answers = zoo.ledger_answers([5, 17, 9, 5, 17, 9])
    assert done.stdout == f"[{answers[:3]}] [{answers[3:]}]\n", done.stderr
