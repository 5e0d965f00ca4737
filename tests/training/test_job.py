import json

import onnx
import pytest
from onnx import numpy_helper

from models.repository import Repository
from tests.training.conftest import Finished, finish
from training import job, quantize
from training.errors import DataInvalid, RunInvalid, VerificationFailed
from training.run import GRAPH, PUBLISHED, QUANTIZED, RESULT, VERIFIED, WEIGHTS
from training.trainer import LOG


def test_a_job_leaves_every_result_in_its_folder(finished):
    names = {path.name for path in finished.run.folder.iterdir()}
    expected = "checkpoint.pt data.json golden.npz learning_curve.png log.jsonl model.onnx model.pt published.json "
    assert names == {*expected.split(), "events", "recipe.json", "result.json", "verified.json", "vocabulary.txt"}


def test_the_result_stands_beside_its_baselines(finished):
    result = finished.run.read(RESULT, "train")
    assert result["baselines"].keys() == {"unigram", "bz2", "xz"}
    assert 0 < result["held_out"] < result["baselines"]["unigram"]
    said = "".join(finished.said)
    for name, value in result["baselines"].items():
        assert f"{name} {value:.4g}" in said
    assert f"held-out {result['held_out']:.4g} bits per character" in said


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


def names(run: Finished) -> list[tuple[str, int]]:
    return [(place.name, place.version) for place in run.repository.list()]


def test_a_variant_asked_for_later_is_made_of_the_model_that_is_there(tmp_path, text_file):
    assert names(finish(tmp_path, text_file)) == [("small", 1)]
    later = finish(tmp_path, text_file, export__int8="true")
    assert [line.partition(", ")[0] for line in later.said[:4]] == [
        f"{stage}: done before" for stage in ("train", "export", "verify", "publish")
    ]
    assert names(later) == [("small", 1), ("small-int8", 1)]
    again = finish(tmp_path, text_file, export__int8="true")
    assert f"quantize: done before, in {later.run.folder}\n" in again.said
    assert names(again) == names(later)


def test_the_last_lines_of_a_variant_say_sizes_figures_error_and_invariance(tmp_path, text_file):
    run = finish(tmp_path, text_file, export__int8="true")
    measured, before = run.run.read(QUANTIZED, "quantize"), run.run.read(RESULT, "train")["held_out"]
    assert run.said[-3] == f"quantize: small-int8 1, {run.repository.root / 'small-int8' / '1'}\n"
    assert run.said[-2] == (
        "quantize: 0.01 MB (float32 0.01), "
        f"held-out {measured['value']:.4g} bits per character (float32 {before:.4g}), "
        f"within {measured['parity_error']:.2g} of torch, not batch-invariant\n"
    )


def test_a_variant_published_elsewhere_is_published_here_too(tmp_path, text_file):
    first = finish(tmp_path, text_file, export__int8="true")
    other = Finished(first.run, Repository(tmp_path / "other"), [])
    other.job().through("quantize")
    assert names(other) == names(first) == [("small", 1), ("small-int8", 1)]


def test_a_variant_that_is_interrupted_is_not_there_and_made_by_the_next_run(tmp_path, text_file, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(quantize, "provenance_of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            finish(tmp_path, text_file, export__int8="true")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["small"]
    assert names(finish(tmp_path, text_file, export__int8="true")) == [("small", 1), ("small-int8", 1)]


def test_a_graph_that_changed_after_its_verification_is_not_quantized(tmp_path, text_file):
    run = finish(tmp_path, text_file, last="verify")
    damage(run)
    with pytest.raises(RunInvalid, match=r"model.onnx has changed since it was verified; `verify .*` comes first"):
        run.job().do("quantize")
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


def test_an_operator_that_depends_on_the_batch_is_named_at_the_export(tmp_path, text_file, monkeypatch):
    monkeypatch.setattr(job, "varying_operators", lambda graph: ["Softplus"])
    said = finish(tmp_path, text_file, last="export").said
    assert "export: not batch-invariant, since ONNX Runtime's Softplus depends on the batch\n" in said
