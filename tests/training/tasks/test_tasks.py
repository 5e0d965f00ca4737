import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.architectures import build_cell
from training.architectures.leaky import Leaky
from training.batches import Batch, collate
from training.data.data import Data
from training.data.series import Parts, Series
from training.errors import WrongUse
from training.model import Numbers, SequenceModel, Units, symbol_model
from training.tasks import TASKS, open_task
from training.tasks.base import asked
from training.tasks.classify import Classify, ClassifyTree, Recall
from training.tasks.next_frame import NextFrame
from training.tasks.next_symbol import NextSymbol
from training.tasks.recall_bits import RecallBits
from training.tasks.regress import Forecast, Regress


def batch(targets: torch.Tensor) -> Batch:
    return Batch(torch.zeros(2, 4, 3), targets, torch.tensor([2, 4]))


def test_of_targets_for_each_step_those_of_valid_steps_count():
    answers, targets = torch.arange(24.0).view(2, 4, 3), torch.arange(8).view(2, 4)
    chosen, wanted = asked(answers, batch(targets))
    assert wanted.tolist() == [0, 1, 4, 5, 6, 7]
    assert torch.equal(chosen, answers.view(8, 3)[[0, 1, 4, 5, 6, 7]])


def test_of_numbers_only_steps_that_have_a_target_count():
    answers, targets = torch.arange(24.0).view(2, 4, 3), torch.zeros(2, 4, 1)
    targets[0, 0] = targets[1, 3] = torch.nan
    chosen, _ = asked(answers, batch(targets))
    assert torch.equal(chosen, answers.view(8, 3)[[1, 4, 5, 6]])


def test_of_one_target_the_rows_last_valid_step_answers():
    answers = torch.arange(24.0).view(2, 4, 3)
    chosen, wanted = asked(answers, batch(torch.tensor([5, 6])))
    assert torch.equal(chosen, torch.stack([answers[0, 1], answers[1, 3]]))
    assert wanted.tolist() == [5, 6]


def test_a_symbols_loss_is_its_bits():
    logits, targets = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    expected = -torch.log2(logits.softmax(-1))[range(5), targets]
    assert torch.allclose(NextSymbol().losses(logits, targets), expected, atol=1e-5)


def test_a_frames_loss_is_the_sum_over_its_keys():
    logits, keys = torch.randn(5, 88), torch.rand(5, 88).round()
    p = logits.sigmoid()
    expected = -(keys * p.log() + (1 - keys) * (1 - p).log()).sum(-1)
    assert torch.allclose(NextFrame().losses(logits, keys), expected, atol=1e-3)


def test_a_class_is_measured_by_the_share_that_is_right():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    targets = torch.tensor([0, 1, 1])
    assert Classify().measures(logits, targets).tolist() == [1, 1, 0]
    assert torch.equal(Classify().losses(logits, targets), functional.cross_entropy(logits, targets, reduction="none"))
    assert torch.equal(Recall().measures(logits, targets), Recall().losses(logits, targets))
    assert (Classify().better, Recall().better) == ("higher", "lower")


def test_bits_are_learnt_by_their_likelihood_and_measured_by_how_many_are_wrong():
    logits, bits = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 4.0, 1.0]]), torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    p = logits.sigmoid()
    expected = -(bits * p.log() + (1 - bits) * (1 - p).log()).sum(-1)
    torch.testing.assert_close(RecallBits().losses(logits, bits), expected)
    assert RecallBits().measures(logits, bits).tolist() == [2, 0]


def test_numbers_are_learnt_without_their_units_and_measured_in_them():
    units = Units(1)
    units.set(torch.tensor([3.0]), torch.tensor([10.0]))
    answers, targets = torch.tensor([[20.0], [5.0]]), torch.tensor([[0.0], [5.0]])
    assert Regress(units).losses(answers, targets).tolist() == [4.0, 0.0]
    assert Regress(units).measures(answers, targets).tolist() == [400.0, 0.0]
    assert Regress(None).losses(answers, targets).tolist() == [400.0, 0.0]


def test_a_forecast_is_measured_by_the_deviation_of_the_series():
    task = Forecast(None, torch.tensor([2.0]))
    answers, targets = torch.tensor([[4.0], [0.0]]), torch.zeros(2, 1)
    assert task.figure(task.measures(answers, targets).mean().item()) == pytest.approx(math.sqrt(2))


def data(*, classes: int = 0, stepwise: bool = True) -> Data:
    inputs = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    per_step = np.zeros(6, np.int64) if classes else inputs
    series = [Series(inputs, per_step if stepwise else per_step[0])]
    ends = {"edge": 0, "ends": "symbol"} if classes else {}
    return Data(Parts(series, series, series, "the same"), 0, classes, "none", "sha256:0", **ends)


def some_asked() -> Data:
    given = data()
    given.parts.train[0].targets[2] = np.nan
    return given


def test_of_a_tree_the_root_is_measured_and_every_asked_node_learnt(seed):
    torch.manual_seed(seed)
    model = symbol_model(symbols=5, embedding_size=3, cell=Leaky(3, 4), dropout=0.0).eval()
    trees = [
        Series(np.array([1, 2, 4]), np.array([0, -1, 1])),
        Series(np.array([1, 2, 4, 3, 4]), np.array([0, 1, -1, -1, 0])),
    ]
    batch = collate(trees)
    assert batch.valid().tolist() == [[True, False, True, False, False], [True, True, False, False, True]]
    with torch.no_grad():
        roots = [model(torch.from_numpy(one.inputs)[None], model.begin(1))[0][0, -1].argmax().item() for one in trees]
    found = ClassifyTree().freely(model, trees)
    assert found == sum(root == one.targets[-1] for root, one in zip(roots, trees, strict=True)) / 2


def test_every_task_is_opened_for_the_data_that_it_needs():
    for name, kind in TASKS.items():
        given = data(classes=3 * kind.classes)
        cell = build_cell("transducer", 2, 4, {"classes": 3}) if kind.task.as_wholes else Leaky(2, 4)
        readout = not kind.task.as_wholes
        model = SequenceModel(embedding=Numbers(2), cell=cell, outputs=given.outputs, dropout=0.0, readout=readout)
        assert open_task(name, model, given).metric == kind.metric


@pytest.mark.parametrize(
    ("task", "given", "sentence"),
    [
        ("regress", data(classes=3), "'regress' needs targets that are numbers, and this data's are classes"),
        ("classify", data(), "'classify' needs targets that are classes, and this data's are numbers"),
        ("forecast", data(stepwise=False), "'forecast' needs a target for each step"),
        ("regress", some_asked(), "'regress' needs a target at every step, .* take recall_bits"),
        ("recall", data(classes=3, stepwise=False), "'recall' needs a target for each step"),
    ],
)
def test_data_that_a_task_cannot_use_is_refused_by_name(task, given, sentence):
    model = SequenceModel(embedding=Numbers(2), cell=Leaky(2, 4), outputs=given.outputs, dropout=0.0)
    with pytest.raises(WrongUse, match=sentence):
        open_task(task, model, given)


@pytest.mark.parametrize(("name", "why"), [("bidirectional", "has read"), ("lookahead", "looks ahead")])
@pytest.mark.parametrize("task", [name for name, kind in TASKS.items() if kind.foretells])
def test_what_comes_next_is_not_asked_of_who_has_read_it(task, name, why):
    given = data(classes=3 * TASKS[task].classes)
    cell = build_cell(name, 2, 4)
    model = SequenceModel(embedding=Numbers(2), cell=cell, outputs=given.outputs, dropout=0.0)
    with pytest.raises(WrongUse, match=why):
        open_task(task, model, given)


def test_every_task_whose_targets_are_inputs_to_come_says_so():
    assert {name for name, kind in TASKS.items() if kind.foretells} == {
        "forecast",
        "next_frame",
        "next_symbol",
        "rewrite",
        "stop_unit",
        "translate",
    }
