"""Architectures that read whole sequences, and those that answer late: trained, exported, published, loaded."""

import numpy as np
import pytest
import torch

from models.loading import load_checked
from models.repository import Repository
from training.architectures import build_cell
from training.data.series import Series
from training.errors import WrongUse
from training.evaluate import evaluate
from training.job import Job
from training.model import Fields, SequenceModel
from training.recipe import read_recipe
from training.run import Run
from training.tasks.classify import Classify

CLASSES = 3


def model_of(name: str, **options) -> SequenceModel:
    cell = build_cell(name, 8, 16, {"layer": "gru", **options})
    return SequenceModel(embedding=Fields(12, 4, 2), cell=cell, outputs=CLASSES, dropout=0.0).eval()


def some_series(lengths) -> list[Series]:
    return [
        Series(torch.randint(12, (length, 2)).numpy(), torch.randint(CLASSES, (length,)).numpy()) for length in lengths
    ]


def test_a_score_is_of_rows_read_whole_at_their_own_length(seed, monkeypatch):
    torch.manual_seed(seed)
    monkeypatch.setattr("training.evaluate.STRETCH", 3)
    model, series = model_of("bidirectional"), some_series([2, 9, 5])
    right = 0
    with torch.no_grad():
        for one in series:
            answers, _ = model(torch.from_numpy(one.inputs[None]), {})
            right += int((answers[0].argmax(-1).numpy() == one.targets).sum())
    assert evaluate(model, Classify(), series).figure == pytest.approx(right / 16)


def test_answers_that_come_late_are_held_against_targets_as_late(seed):
    torch.manual_seed(seed)
    model, series = model_of("lookahead", context=2), some_series([6, 4])
    late = [Series(np.pad(one.inputs, [(0, 2), (0, 0)]), np.pad(one.targets, (2, 0))) for one in series]
    right = 0
    with torch.no_grad():
        for one in late:
            answers, _ = model(torch.from_numpy(one.inputs[None]), model.begin(1))
            right += int((answers[0, 2:].argmax(-1).numpy() == one.targets[2:]).sum())
    assert evaluate(model, Classify(), late).figure == pytest.approx(right / 10)


@pytest.mark.parametrize(("name", "kind", "delay"), [("bidirectional", "sequence", 0), ("lookahead", "step", 2)])
def test_a_recipe_goes_through_to_a_model_that_a_server_loads(name, kind, delay, tmp_path, data_folder):
    data_folder("ud_english_ewt")
    changed = ["training.updates=3", "training.validate_every=3", "model.hidden_size=6", "model.embedding_size=2"]
    run = Run.begin(tmp_path / "run", read_recipe(f"tags_{name}", changed))
    repository = Repository(tmp_path / "models")
    Job(run, repository, say=lambda _: None).through("publish")
    [place] = repository.list()
    checked = load_checked(repository, place)
    assert (checked.manifest.kind, checked.manifest.delay) == (kind, delay)
    [x] = checked.manifest.inputs
    assert (x.dtype, x.shape) == ("INT64", ("time", 8))
    assert checked.manifest.measured.batch_invariant
    assert checked.vocabulary is not None
    assert len(checked.labels.splitlines()) == 17


def test_a_long_series_is_not_cut_for_who_must_read_it_whole(tmp_path, data_folder):
    data_folder("ud_english_ewt")
    run = Run.begin(tmp_path / "run", read_recipe("tags_bidirectional", ["training.steps=5"]))
    with pytest.raises(WrongUse, match=r"must read whole: set training\.steps=0"):
        Job(run, Repository(tmp_path / "models"), say=lambda _: None).do("train")
