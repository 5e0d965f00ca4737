import json

import onnx
import pytest
from onnx import numpy_helper

from models.repository import Repository
from tests.training.conftest import Finished, finish
from training.errors import DataInvalid, RunInvalid, VerificationFailed
from training.run import GRAPH, PUBLISHED, RESULT, VERIFIED, WEIGHTS
from training.trainer import LOG


def test_a_job_leaves_every_result_in_its_folder(finished):
    names = {path.name for path in finished.run.folder.iterdir()}
    expected = "checkpoint.pt data.json golden.npz learning_curve.png log.jsonl model.onnx model.pt published.json "
    assert names == {*expected.split(), "recipe.json", "result.json", "verified.json", "vocabulary.txt"}


def test_the_result_stands_beside_its_baselines(finished):
    result = finished.run.read(RESULT, "train")
    assert result["baselines"].keys() == {"unigram", "bz2", "xz"}
    assert 0 < result["held_out"] < result["baselines"]["unigram"]
    said = "".join(finished.said)
    for name, value in result["baselines"].items():
        assert f"{name} {value:.2f}" in said
    assert f"held-out {result['held_out']:.3f} bits per character" in said


def test_a_job_says_where_the_run_and_the_model_are_and_how_long_it_took(finished):
    said = "".join(finished.said)
    assert f"publish: small 1, {finished.repository.root / 'small' / '1'}\n" in said
    assert finished.said[-1].startswith("done in ")
    assert str(finished.run.folder) in finished.said[-1]


def test_a_job_done_again_does_nothing_and_says_so(tmp_path, text_file):
    first = finish(tmp_path, text_file)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = finish(tmp_path, text_file)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    for stage, line in zip(("train", "export", "verify", "publish"), again.said, strict=False):
        assert line == f"{stage}: done before, in {first.run.folder}\n"


def test_a_job_goes_on_from_the_stage_it_was_told_to_stop_after(tmp_path, text_file):
    finish(tmp_path, text_file, last="export")
    run = finish(tmp_path, text_file, last="export")
    assert run.repository.list() == []
    assert not run.run.done("verify")
    assert len(finish(tmp_path, text_file).repository.list()) == 1


def test_a_model_published_elsewhere_is_published_here_too(tmp_path, text_file):
    first = finish(tmp_path, text_file)
    other = Finished(first.run, Repository(tmp_path / "other"), [])
    other.job().through("publish")
    assert len(other.repository.list()) == len(first.repository.list()) == 1
    assert json.loads(first.run.path(PUBLISHED).read_bytes())["folder"].startswith(str(tmp_path / "other"))


@pytest.mark.parametrize("last", ["train", "publish"])
def test_a_text_that_changed_since_the_run_began_is_not_mixed_with_the_old_one(tmp_path, text_file, last):
    path = tmp_path / "words.txt"
    path.write_bytes(text_file.read_bytes())
    first = finish(tmp_path, path, last=last)
    before = first.run.path(WEIGHTS).read_bytes()
    path.write_bytes(text_file.read_bytes() + b" more")
    with pytest.raises(RunInvalid, match="the data has changed since the run"):
        finish(tmp_path, path)
    assert first.run.path(WEIGHTS).read_bytes() == before


def damage(run: Finished) -> None:
    proto = onnx.load(run.run.path(GRAPH))
    (tensor,) = [tensor for tensor in proto.graph.initializer if tensor.name == "readout.bias"]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, tensor.name))
    onnx.save(proto, run.run.path(GRAPH))


def test_a_graph_that_fails_verification_stops_the_job_and_nothing_is_published(tmp_path, text_file):
    run = finish(tmp_path, text_file, last="export")
    damage(run)
    with pytest.raises(VerificationFailed, match="the graph differs from torch by 1"):
        run.job().through("publish")
    assert not run.run.path(VERIFIED).exists()
    assert run.repository.list() == []


def test_a_graph_that_changed_after_its_verification_is_not_published(tmp_path, text_file):
    run = finish(tmp_path, text_file, last="verify")
    damage(run)
    with pytest.raises(RunInvalid, match=r"model.onnx has changed since it was verified; `verify .*` comes first"):
        run.job().do("publish")
    assert run.repository.list() == []


def test_the_same_recipe_gives_the_same_graph(tmp_path, text_file):
    graphs = {finish(tmp_path / name, text_file, last="export").run.path(GRAPH).read_bytes() for name in ("a", "b")}
    assert len(graphs) == 1


def test_a_text_of_one_letter_is_learned_to_nearly_no_bits(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a" * 2000)
    run = finish(tmp_path, path)
    assert run.run.read(RESULT, "train")["held_out"] < 0.05
    assert len(run.repository.list()) == 1


def test_a_text_too_short_leaves_no_results(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a" * 10)
    with pytest.raises(DataInvalid):
        finish(tmp_path, path)
    assert not list(tmp_path.rglob(LOG))
    assert not list(tmp_path.rglob(RESULT))


def test_a_process_that_is_not_the_first_says_nothing_and_stops_after_training(finished, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    other = Finished(finished.run, Repository(finished.repository.root.parent / "none"), [])
    other.job().through("publish")
    assert other.said == []
    assert other.repository.list() == []
