import os
import subprocess
import sys

import pytest

from models.cli import main
from models.manifest import FILE, GOLDEN, Measured, Provenance, Quantized
from models.repository import digest_of
from tests import zoo
from tests.conftest import ROOT


@pytest.fixture
def models(repository, capsys):
    """Give a function that runs a command on the repository: its exit code, stdout and stderr."""

    def run(*arguments):
        capsys.readouterr()
        code = main([*arguments, "--repository", str(repository.root)])
        return code, *capsys.readouterr()

    return run


def test_an_empty_repository_says_how_to_fill_it(models, repository):
    assert models("list") == (
        0,
        f"no models in {repository.root}; `python -m training train charlm` builds one\n",
        "",
    )


def test_each_version_is_listed_on_a_line(models, repository):
    zoo.publish(repository, "sum", zoo.running_sum())
    zoo.publish(repository, "lstm", zoo.lstm(), measured=Measured(metric="accuracy", value=0.98765))
    zoo.publish(repository, "lstm", zoo.lstm(), kind="sequence")
    code, out, err = models("list")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["lstm", "1", "lstm", "step", "accuracy", "0.9877"],
        ["lstm", "2", "lstm", "sequence", "not", "measured"],
        ["sum", "1", "running_sum", "step", "not", "measured"],
    ]


def test_a_manifest_that_cannot_be_read_does_not_hide_the_others(models, repository):
    place = zoo.publish(repository, "a", zoo.ledger())
    zoo.publish(repository, "b", zoo.ledger())
    (place.folder / FILE).write_text("{")
    code, out, err = models("list")
    first, second = out.splitlines()
    assert (code, err) == (0, "")
    assert "unreadable: manifest: Input data was truncated" in first
    assert second.split()[:2] == ["b", "1"]


def test_show_says_what_a_model_takes_answers_and_keeps(models, repository):
    zoo.publish(
        repository,
        "lstm",
        zoo.lstm(),
        measured=Measured(metric="accuracy", value=0.5),
        provenance=Provenance(recipe="vowels", seed=3),
    )
    assert models("show", "lstm") == (
        0,
        """\
lstm 1: lstm, kind step
  input   x                FP32   [batch, time, 32]
  output  y                FP32   [batch, time, 32]
  state   state.h          FP32   [batch, 128]
  state   state.c          FP32   [batch, 128]
  state bytes: 1024 a sequence, 1,048,576 sequences per GiB
  measured: metric accuracy, value 0.5, batch_invariant False
  provenance: recipe vowels, seed 3, libraries {}
""",
        "",
    )


def test_show_says_what_a_quantized_model_was_made_of(models, repository):
    graph = digest_of(b"float")
    zoo.publish(repository, "small", zoo.lstm(), quantized=Quantized(of="large", graph=graph, to="int8"))
    assert f"\n  quantized: of large, graph {graph}, to int8\n" in models("show", "small")[1]


def test_a_model_without_state_is_shown_too(models, repository):
    zoo.publish(repository, "sum", zoo.running_sum(), states=())
    code, out, _ = models("show", "sum")
    assert code == 0
    assert "state bytes: 0 a sequence" in out


def test_show_takes_the_newest_version_or_the_one_asked_for(models, repository):
    zoo.publish(repository, "m", zoo.lstm())
    zoo.publish(repository, "m", zoo.ledger())
    assert models("show", "m")[1].startswith("m 2: ledger")
    assert models("show", "m", "--version", "1")[1].startswith("m 1: lstm")


def test_check_replays_the_golden_answers(models, repository):
    zoo.publish(repository, "ledger", zoo.ledger())
    assert models("check", "ledger") == (
        0,
        "ledger 1: files as published, golden answers within 0 (tolerance 1e-06)\n",
        "",
    )


def damaged_digest(place):
    (place.folder / GOLDEN).write_bytes(b"other")


def damaged_golden(place):
    zoo.replace_file(place, GOLDEN, b"other")


def damaged_graph(place):
    zoo.replace_file(place, zoo.GRAPH, b"other")


def other_graph(place):
    zoo.replace_file(place, zoo.GRAPH, zoo.overflow().graph)


def damaged_manifest(place):
    (place.folder / FILE).write_bytes(b"\xff")


DAMAGE = [
    (damaged_digest, "golden.npz is not the file that was published"),
    (damaged_golden, "the golden file is not a NumPy archive"),
    (damaged_graph, "the graph is not one that ONNX Runtime can load"),
    (other_graph, "output 'y' differs from its golden answer"),
    (damaged_manifest, "manifest: "),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE, ids=[damage.__name__ for damage, _ in DAMAGE])
def test_check_fails_in_one_line(models, repository, damage, words):
    damage(zoo.publish(repository, "sum", zoo.running_sum()))
    code, out, err = models("check", "sum")
    assert (code, out) == (1, "")
    assert err.startswith(f"models: {words}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["show", "check"])
@pytest.mark.parametrize("asked", [("other",), ("sum", "--version", "2")])
def test_what_is_not_there_fails_in_one_line(models, repository, command, asked):
    zoo.publish(repository, "sum", zoo.running_sum())
    code, out, err = models(command, *asked)
    assert (code, out) == (1, "")
    assert err.startswith("models: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["bake"], ["show"], ["check", "sum", "--version", "new"], ["list", "--everything"]]
)
def test_wrong_use_exits_with_2_and_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m models" in capsys.readouterr().err


def command(*arguments, repository):
    environment = os.environ | {"RECUR_REPOSITORY": str(repository.root)}
    return subprocess.run(
        [sys.executable, "-m", "models", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_reads_the_repository_of_the_environment(repository):
    zoo.publish(repository, "sum", zoo.running_sum())
    done = command("check", "sum", repository=repository)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sum 1: files as published")


def test_the_command_fails_without_a_traceback(repository):
    damaged_graph(zoo.publish(repository, "sum", zoo.running_sum()))
    done = command("check", "sum", repository=repository)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "models: the graph is not one that ONNX Runtime can load\n"


def test_a_graph_that_ends_the_process_fails_in_one_line(repository):
    place = zoo.publish(repository, "half", zoo.lstm())
    zoo.replace_file(place, zoo.GRAPH, zoo.half(zoo.lstm().graph))
    done = command("check", "half", repository=repository)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("models: the graph ends ONNX Runtime's process ('Segmentation fault')")
    assert done.stderr.count("\n") == 1


def test_a_graph_that_ends_the_process_is_not_imported(repository, tmp_path):
    (tmp_path / "half.onnx").write_bytes(zoo.half(zoo.lstm().graph))
    done = command("import", str(tmp_path / "half.onnx"), "--name", "half", repository=repository)
    assert done.returncode == 1
    assert done.stderr.startswith("models: the graph ends ONNX Runtime's process ('Segmentation fault')")
    assert repository.list() == []
