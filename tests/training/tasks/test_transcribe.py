from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.alignments import log_likelihood
from training.architectures import build_cell
from training.batches import collate
from training.data.data import Data
from training.data.series import Parts, Series
from training.errors import WrongUse
from training.evaluate import evaluate
from training.model import Numbers, SequenceModel
from training.tasks import open_task
from training.tasks.transcribe import Transcribe, edits, labels_in, transcribed

CLASSES = 4
ROWS = st.lists(st.integers(0, 2), max_size=6)


def model(*, readout: bool = False, encoder: str = "gru") -> SequenceModel:
    cell = build_cell("transducer", 2, 6, {"classes": CLASSES, "encoder": encoder})
    return SequenceModel(embedding=Numbers(2), cell=cell, outputs=CLASSES, dropout=0.0, readout=readout).eval()


def some(*rows: tuple[int, list[int]]) -> list[Series]:
    random = np.random.default_rng(0)
    return [
        Series(random.normal(size=(time, 2)).astype(np.float32), np.array([*labels, *[-1] * (time - len(labels))]))
        for time, labels in rows
    ]


@cache
def distance(found: tuple[int, ...], wanted: tuple[int, ...]) -> int:
    if not found or not wanted:
        return len(found) + len(wanted)
    return min(
        distance(found[1:], wanted) + 1,
        distance(found, wanted[1:]) + 1,
        distance(found[1:], wanted[1:]) + (found[0] != wanted[0]),
    )


@given(ROWS, ROWS)
def test_edits_are_the_fewest_that_make_one_row_the_other(found, wanted):
    assert edits(found, wanted) == distance(tuple(found), tuple(wanted))


def test_the_loss_is_that_of_all_labels_of_each_row_together(seed):
    torch.manual_seed(seed)
    one, series = model(), some((5, [1, 0, 2]), (3, []), (4, [2]))
    losses, count = Transcribe(one).whole_losses(one, collate(series))
    assert count == 4
    for loss, row in zip(losses.tolist(), series, strict=True):
        batch = collate([row])
        labels, counts = labels_in(batch)
        es, _ = one.cell.layers[0].scan(batch.x, one.cell.layers[0].init_state(1))
        logits = one.cell.layers[1].lattice(es, labels)
        assert loss == pytest.approx(-log_likelihood(logits, labels, batch.lengths, counts).item(), rel=1e-5)


def test_a_model_is_scored_by_its_loss_a_label_and_by_the_edits_of_what_it_puts_out(seed):
    torch.manual_seed(seed)
    one, series = model(), some((5, [1, 0, 2]), (3, [1]))
    losses, _ = Transcribe(one).whole_losses(one, collate(series))
    assert evaluate(one, Transcribe(one), series).loss == pytest.approx(losses.sum().item() / 4, rel=1e-5)
    found = transcribed(one, series)
    wrong = sum(edits([label for label, _ in does], should) for does, should in found)
    assert [should for _, should in found] == [[1, 0, 2], [1]]
    assert Transcribe(one).freely(one, series) == wrong / 4


def test_sequences_without_any_label_have_a_loss_and_a_rate(seed):
    torch.manual_seed(seed)
    one, series = model(), some((3, []))
    assert evaluate(one, Transcribe(one), series).loss > 0
    assert Transcribe(one).freely(one, series) >= 0


def test_a_model_that_is_no_transducer_or_has_a_readout_is_refused():
    series = some((3, [1]))
    data = Data(Parts(series, series, series, "the same"), 0, CLASSES, "none", "sha256:0")
    plain = SequenceModel(embedding=Numbers(2), cell=build_cell("gru", 2, 6), outputs=CLASSES, dropout=0.0)
    for wrong in (plain, model(readout=True)):
        with pytest.raises(WrongUse, match="needs the architecture 'transducer', without a readout"):
            open_task("transcribe", wrong, data)
    with pytest.raises(WrongUse, match="does not read ahead"):
        open_task("transcribe", model(encoder="lookahead"), data)


def test_an_int8_variant_is_refused_in_a_sentence(seed):
    with pytest.raises(WrongUse, match="int8 variant of a transducer is not measured"):
        Transcribe(model()).losses(torch.zeros(1, CLASSES), torch.zeros(1, dtype=torch.int64))
