import numpy as np
import pytest
import torch
from torch import nn

from training.architectures.leaky import Leaky
from training.data.generated.copy_bits import make_copy_bits
from training.data.series import Series
from training.evaluate import evaluate, in_rows
from training.model import Numbers, SequenceModel, symbol_model
from training.tasks.classify import Classify
from training.tasks.next_symbol import BITS, NextSymbol
from training.tasks.recall_bits import RecallBits

SYMBOLS = 5


def reader(dropout: float = 0.0) -> SequenceModel:
    return symbol_model(symbols=SYMBOLS, embedding_size=4, cell=Leaky(4, 6), dropout=dropout)


def text(length: int) -> Series:
    symbols = torch.randint(SYMBOLS, (length,)).numpy()
    return Series(symbols[:-1], symbols[1:])


@pytest.mark.parametrize("stretch", [1, 7, 1000])
def test_bits_are_those_of_each_symbol_given_all_before_it(seed, stretch, monkeypatch):
    torch.manual_seed(seed)
    monkeypatch.setattr("training.evaluate.STRETCH", stretch)
    model, series = reader(), text(40)
    total = 0.0
    with torch.no_grad():
        for at, target in enumerate(series.targets):
            read = torch.from_numpy(series.inputs[None, : at + 1])
            logits, _ = model.eval()(read, model.cell.init_state(1))
            total -= logits[0, -1].log_softmax(0)[target].item()
    found = evaluate(model, NextSymbol(), [series])
    assert found.loss == found.figure == pytest.approx(total * BITS / 39, abs=1e-5)


def test_scoring_has_no_dropout_and_leaves_the_model_as_it_was(seed):
    torch.manual_seed(seed)
    model, series = reader(dropout=0.9).train(), text(40)
    assert evaluate(model, NextSymbol(), [series]) == evaluate(model, NextSymbol(), [series])
    assert model.training


def test_sequences_of_any_lengths_are_scored_as_each_alone(seed):
    torch.manual_seed(seed)
    model, many = reader(), [text(length) for length in (9, 2, 30, 17)]
    alone = [evaluate(model, NextSymbol(), [one]).loss * len(one.inputs) for one in many]
    together = evaluate(model, NextSymbol(), many).loss * sum(len(one.inputs) for one in many)
    assert together == pytest.approx(sum(alone), rel=1e-5)


def test_wrong_bits_are_counted_by_the_sequence(seed):
    torch.manual_seed(seed)
    model = SequenceModel(embedding=Numbers(9), cell=Leaky(9, 6), outputs=8, dropout=0.0).eval()
    many = make_copy_bits(seed, 70, [3, 12])
    wrong = 0
    for one in many:
        answers, _ = model(torch.from_numpy(one.inputs[None]), model.begin(1))
        wrong += int(((answers[0, -one.asked :] > 0).numpy() != one.targets[-one.asked :]).sum())
    assert evaluate(model, RecallBits(), many).figure == pytest.approx(wrong / 70)


def test_a_class_is_read_at_the_sequences_own_end(seed):
    torch.manual_seed(seed)
    model = SequenceModel(embedding=Numbers(2), cell=Leaky(2, 6), outputs=3, dropout=0.0)
    nn.init.normal_(model.readout.weight, std=3.0)
    series = [Series(np.random.default_rng(n).normal(size=(n, 2)).astype(np.float32), np.array(0)) for n in (3, 20, 8)]
    labelled = []
    for one in series:
        with torch.no_grad():
            answers, _ = model.eval()(torch.from_numpy(one.inputs[None]), model.cell.init_state(1))
        labelled.append(Series(one.inputs, np.array(int(answers[0, -1].argmax()))))
    assert evaluate(model, Classify(), labelled).figure == 1.0


def test_a_long_series_is_cut_into_rows_and_many_stay_as_they_are():
    cut = in_rows([text(101)], 8)
    assert [len(one.inputs) for one in cut] == [12] * 8
    many = [text(9), text(20)]
    assert in_rows(many, 8) == many
