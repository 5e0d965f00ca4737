import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.repository import Repository
from tests.conftest import ROOT
from tests.training.conftest import overrides
from training.architectures import ARCHITECTURES
from training.checkpoint import FILE
from training.cli import main
from training.listing import SECTIONS
from training.recipe import recipe_names
from training.run import WEIGHTS, Run
from training.trainer import LOG

# A process of its own on tensors this small is fastest with one thread.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def train_arguments(folder: Path, text: Path, *more: str, **changed: object) -> list[str]:
    settings = [part for override in overrides(text, **changed) for part in ("--set", override)]
    places = ["--runs", str(folder / "runs"), "--repository", str(folder / "models")]
    return ["train", "charlm", *settings, *places, *more]


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def launch(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "training", *arguments]


def finish_process(arguments: list[str], *, limit_seconds: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=limit_seconds, check=False
    )


def test_train_does_the_whole_job(tmp_path, text_file, capsys):
    assert main(train_arguments(tmp_path, text_file)) == 0
    said, wrong = capsys.readouterr()
    assert wrong == ""
    assert re.search(r"held-out \d\.\d+ bits per character \(unigram \d.\d+, bz2 \d.\d+, xz \d.\d+\)", said)
    assert str(only_run(tmp_path)) in said
    assert str(tmp_path / "models" / "small" / "1") in said
    assert re.search(r"done in \d+ s", said)


def blocks_interrupts(process: subprocess.Popen[str]) -> bool:
    found = re.search(r"^SigBlk:\s+(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (signal.SIGINT - 1) & 1)


def test_an_interrupt_while_it_starts_is_not_lost(tmp_path, text_file):
    arguments = launch(*train_arguments(tmp_path, text_file, **{"training.updates": 100_000}))
    process = subprocess.Popen(arguments, cwd=ROOT, env=ENVIRONMENT, text=True, stderr=subprocess.PIPE)
    while not blocks_interrupts(process):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, wrong = process.communicate(timeout=60)
    assert process.returncode == 130
    assert wrong.startswith("training: stopped; ")
    assert "Traceback" not in wrong


def test_the_run_folder_is_named_after_the_recipe_and_its_settings(tmp_path, text_file):
    for seed in (1, 2):
        assert main(train_arguments(tmp_path, text_file, "--until", "train", training__seed=seed)) == 0
    names = [path.name for path in (tmp_path / "runs").iterdir()]
    assert len(names) == 2
    assert all(re.fullmatch(r"small-[0-9a-f]{8}", name) for name in names)


def test_each_stage_is_a_command(tmp_path, text_file):
    assert main(train_arguments(tmp_path, text_file, "--until", "train")) == 0
    run, places = str(only_run(tmp_path)), ["--repository", str(tmp_path / "models")]
    for stage in ("export", "verify", "publish", "quantize"):
        assert not Run(only_run(tmp_path)).done(stage)
        assert main([stage, run, *places]) == 0
        assert Run(only_run(tmp_path)).done(stage)
    assert [place.name for place in Repository(tmp_path / "models").list()] == ["small", "small-int8"]


def test_a_model_too_small_to_quantize_is_a_line_and_it_is_published_without(tmp_path, text_file, capsys):
    changed = {"export__int8": "true", "model__hidden_size": 1, "model__embedding_size": 1}
    assert main(train_arguments(tmp_path, text_file, **changed)) == 1
    said = capsys.readouterr().err
    assert said.startswith("training: int8 makes the graph no smaller")
    assert len(said.splitlines()) == 1
    assert [place.name for place in Repository(tmp_path / "models").list()] == ["small"]


def test_a_stage_before_its_turn_fails_and_names_the_one_to_do(tmp_path, text_file, capsys):
    assert main(train_arguments(tmp_path, text_file, "--until", "train")) == 0
    capsys.readouterr()
    places = ["--repository", str(tmp_path / "models")]
    assert main(["verify", str(only_run(tmp_path)), *places]) == 1
    assert "has not come through 'export' yet; do that first" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nowhere"), *places]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (["--set", "training.batch=x"], 2, "training.batch"),
        (["--set", "training.nothing=1"], 2, "there is solver, updates, batch"),
        (["--set", "nothing"], 2, "TABLE.KEY=VALUE"),
        (["--set", "data.path=/nowhere/a.txt"], 1, "/nowhere/a.txt"),
        (["--set", "training.batch=100000"], 1, "--set training.batch=N"),
    ],
)
def test_a_failure_is_a_line_and_an_exit_code(tmp_path, text_file, capsys, more, code, sentence):
    assert main(train_arguments(tmp_path, text_file, *more)) == code
    said = capsys.readouterr().err
    assert said.startswith("training: ")
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "models").exists()


def test_an_unknown_recipe_is_wrong_use_and_those_that_exist_are_listed(tmp_path, capsys):
    assert main(["train", "nothing", "--runs", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in recipe_names())


def test_a_folder_for_runs_that_cannot_be_made_is_a_line(tmp_path, text_file, capsys):
    (tmp_path / "runs").write_text("a file")
    assert main(train_arguments(tmp_path, text_file)) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["trian"], ["train"], ["train", "charlm", "--until", "tea"]])
def test_wrong_arguments_are_wrong_use(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m training" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_has_an_example(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "python -m training train charlm --set data.path=book.txt" in capsys.readouterr().out


def test_the_recipes_are_listed(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    (lstm,) = [line for line in lines if line.startswith("jsb_lstm ")]
    assert re.fullmatch(r"jsb_lstm +lstm +next_frame +nll_per_frame [\d.]+, must 8\.6, published 8\.45", lstm)


def test_every_architecture_is_listed_with_its_section_and_its_options(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(ARCHITECTURES)
    (leaky,) = [line for line in lines if line.startswith("leaky ")]
    assert re.fullmatch(r"leaky +10\.9\.2 +Leaky units and .* alpha=0\.9 per_unit=false learned=false", leaky)
    sections = [line.split()[1] for line in lines]
    assert list(dict.fromkeys(sections)) == list(SECTIONS)
    numbers = [[int(part) for part in section.split(".")] for section in sections if section != "beyond"]
    assert numbers == sorted(numbers)
    assert sections.index("beyond") == len(numbers)


def test_the_table_of_architectures_is_json_too(capsys):
    assert main(["list", "--json"]) == 0
    listed = {entry["architecture"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed.keys() == ARCHITECTURES.keys()
    assert listed["narx"]["options"] == {"delays": [1, 2, 3, 4]}
    assert listed["lstm"]["parameters"] == "4*n*(m + n + 1)"
    assert listed["lstm"]["page"] == "docs/architectures/lstm.md"


@pytest.mark.parametrize(
    ("arguments", "code"), [(["train", "nothing"], 2), (["verify", "/nowhere"], 1), (["train", "charlm", "--set"], 2)]
)
def test_a_process_ends_without_a_traceback(arguments, code):
    done = finish_process(launch(*arguments))
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr


def stop_at_first_line(arguments: list[str], number: signal.Signals) -> tuple[int, str]:
    """Start a job, send it a signal when it has printed its first validation, and wait for its end."""
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("update "):
                process.send_signal(number)
                break
        process.stdout.read()
        said = process.stderr.read()
    return process.returncode, said


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_the_next_run_finishes_to_the_same_bits(tmp_path, text_file, number):
    changed = {"training__updates": 3000, "training__validate_every": 100, "training__patience": 100}
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    command = launch(*train_arguments(stopped, text_file, **changed))
    code, said = stop_at_first_line(command, number)
    assert code == 130, said
    assert len(said.splitlines()) == 1
    assert "python -m training train charlm" in said
    assert (only_run(stopped) / FILE).exists()
    assert not (only_run(stopped) / WEIGHTS).exists()
    assert not (stopped / "models").exists()
    reached = len((only_run(stopped) / LOG).read_text().splitlines())
    assert 1 <= reached < 30

    done = finish_process(command)
    assert done.returncode == 0, done.stderr
    assert f"update {100 * reached}/" not in done.stdout
    assert len(Repository(stopped / "models").list()) == 1
    assert main(train_arguments(whole, text_file, "--until", "train", **changed)) == 0
    for name in (LOG, WEIGHTS):
        assert (only_run(stopped) / name).read_bytes() == (only_run(whole) / name).read_bytes(), name


@pytest.mark.e2e
def test_two_processes_train_as_one_does(tmp_path, text_file):
    torchrun = [str(Path(sys.executable).parent / "torchrun"), "--standalone", "--nproc-per-node", "2"]
    both, one = tmp_path / "both", tmp_path / "one"
    changed = {"model__dropout": 0}
    done = finish_process([*torchrun, "-m", "training", *train_arguments(both, text_file, **changed)])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("publish: ") == done.stdout.count("update 20/60") == 1
    assert "distributed" not in done.stdout + done.stderr
    assert len(Repository(both / "models").list()) == 1
    assert main(train_arguments(one, text_file, "--until", "train", **changed)) == 0
    logs = [[json.loads(line) for line in (only_run(at) / LOG).read_text().splitlines()] for at in (both, one)]
    for found, expected in zip(*logs, strict=True):
        assert found["validation"] == pytest.approx(expected["validation"], abs=1e-3)


@pytest.mark.e2e
def test_two_machines_train_as_one_does(tmp_path, text_file):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = f"127.0.0.1:{free.getsockname()[1]}"
    both, one, changed = tmp_path / "both", tmp_path / "one", {"model__dropout": 0}
    torchrun = [str(Path(sys.executable).parent / "torchrun"), "--nnodes", "2", "--nproc-per-node", "1"]
    torchrun += ["--rdzv-backend", "c10d", "--rdzv-endpoint", meeting, "--rdzv-id", "two", "-m", "training"]
    asked = [*torchrun, *train_arguments(both, text_file, "--until", "train", **changed)]
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(finish_process, [asked, asked]))
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    assert "".join(one.stdout for one in done).count("update 20/60") == 1, "each has a part of every batch"
    assert main(train_arguments(one, text_file, "--until", "train", **changed)) == 0
    logs = [[json.loads(line) for line in (only_run(at) / LOG).read_text().splitlines()] for at in (both, one)]
    for found, expected in zip(*logs, strict=True):
        assert found["validation"] == pytest.approx(expected["validation"], abs=1e-3)


@pytest.mark.e2e
def test_two_processes_learn_sequences_of_unequal_lengths_as_one_does(tmp_path, data_folder):
    data_folder("japanese_vowels")
    torchrun = [str(Path(sys.executable).parent / "torchrun"), "--standalone", "--nproc-per-node", "2"]
    both, one = tmp_path / "both", tmp_path / "one"
    changed = ["model.dropout=0", "training.updates=30", "training.validate_every=10", "model.hidden_size=12"]

    def asked(folder: Path) -> list[str]:
        sets = [part for change in changed for part in ("--set", change)]
        places = ["--runs", str(folder / "runs"), "--repository", str(folder / "models")]
        return ["train", "vowels_gru", *sets, *places, "--until", "train"]

    done = finish_process([*torchrun, "-m", "training", *asked(both)])
    assert done.returncode == 0, done.stderr
    assert main(asked(one)) == 0
    logs = [[json.loads(line) for line in (only_run(at) / LOG).read_text().splitlines()] for at in (both, one)]
    assert len(logs[1]) == 3
    for found, expected in zip(*logs, strict=True):
        assert found["validation"] == pytest.approx(expected["validation"], abs=1e-3)
