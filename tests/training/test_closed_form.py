import numpy as np
import pytest
import torch

from training.architectures.echo_state import EchoState
from training.architectures.gru import GRU
from training.closed_form import fit_readout
from training.data.data import Data
from training.data.generated.mackey_glass import make_mackey_glass
from training.data.series import Parts, Series, next_step
from training.errors import DataInvalid, Diverged, WrongUse
from training.evaluate import evaluate
from training.model import Numbers, SequenceModel
from training.recipe import TrainingSettings
from training.tasks.regress import Forecast

SETTINGS = TrainingSettings(solver="ridge", penalty=1e-6, washout=100)


def series(steps: int) -> Data:
    values = make_mackey_glass(0, steps + 1)
    cut = steps * 8 // 10
    parts = Parts([next_step(values[:cut])], [next_step(values[cut:])], [next_step(values[cut:])], "in order")
    return Data(parts, 0, 0, "none", "sha256:0")


def reservoir(units: int = 100, *, normalise: bool = False) -> SequenceModel:
    torch.manual_seed(0)
    cell = EchoState(1, units, leak=0.6)
    embedding = Numbers(1, normalise=normalise)
    return SequenceModel(embedding=embedding, cell=cell, outputs=1, dropout=0.0, normalise=normalise)


def fit(model: SequenceModel, data: Data, settings: TrainingSettings = SETTINGS):
    task = Forecast(model.units, torch.from_numpy(data.target_units()[1]))
    return fit_readout(settings, model, task, data), task


def test_a_chaotic_series_is_forecast_in_one_pass():
    model, data = reservoir(), series(2500)
    progress, task = fit(model, data)
    assert evaluate(model, task, data.parts.test, unscored=100).figure < 0.01
    assert progress.history[0][2] == progress.best
    assert progress.figures == [evaluate(model, task, data.parts.validation, unscored=100).figure]


def test_the_reservoir_is_bit_for_bit_what_it_was():
    model = reservoir()
    before = {name: tensor.clone() for name, tensor in model.cell.state_dict().items()}
    fit(model, series(1000))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.cell.state_dict().items())


def test_stretches_of_any_length_fit_the_same_readout(monkeypatch):
    weights = []
    for stretch in (37, 1000):
        monkeypatch.setattr("training.closed_form.STRETCH", stretch)
        model = reservoir(20)
        fit(model, series(600))
        weights.append(model.readout.weight.detach())
    assert torch.allclose(*weights, atol=1e-3)


def test_the_washout_is_neither_fitted_to_nor_scored():
    data, model = series(600), reservoir(20)
    train = data.parts.train[0]
    spoilt = train.targets.copy()
    spoilt[:100] = 1e6
    wild = Data(Parts([Series(train.inputs, spoilt)], data.parts.validation, data.parts.test, ""), 0, 0, "", "")
    fit(model, data)
    expected = model.readout.weight.detach().clone()
    _, task = fit(model, wild)
    assert torch.allclose(model.readout.weight, expected)
    assert evaluate(model, task, wild.parts.train, unscored=100).figure < 10


def test_a_washout_longer_than_the_series_leaves_nothing_to_fit():
    with pytest.raises(Diverged, match="washout"):
        fit(reservoir(20), series(100), TrainingSettings(solver="ridge", washout=1000))


def test_a_model_with_more_to_learn_is_refused():
    model = SequenceModel(embedding=Numbers(1), cell=GRU(1, 4), outputs=1, dropout=0.0)
    with pytest.raises(WrongUse, match=r"solver=ridge fits a readout alone.* use it with echo_state"):
        fit(model, series(500))


def test_targets_that_are_no_numbers_for_each_step_are_refused():
    inputs = np.zeros((9, 1), np.float32)
    at_end = [Series(inputs, np.zeros(1, np.float32))]
    data = Data(Parts(at_end, at_end, at_end, ""), 0, 0, "", "")
    with pytest.raises(WrongUse, match="a target of numbers for each step"):
        fit(reservoir(20), data)


def test_targets_that_some_steps_do_not_have_are_refused():
    inputs, targets = np.zeros((9, 1), np.float32), np.zeros((9, 1), np.float32)
    targets[3] = np.nan
    some = [Series(inputs, targets)]
    with pytest.raises(WrongUse, match="a target of numbers for each step"):
        fit(reservoir(20), Data(Parts(some, some, some, ""), 0, 0, "", ""))


def test_a_test_part_that_is_all_washout_is_told():
    with pytest.raises(DataInvalid, match="no sequence is longer than the 100 steps that are not scored"):
        fit(reservoir(20), series(500))
