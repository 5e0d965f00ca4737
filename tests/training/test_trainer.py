import json
import signal
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from tests.training.conftest import small_recipe
from training.architectures.leaky import Leaky
from training.building import build_model, shape_of, take_units
from training.checkpoint import FILE, Progress, read_checkpoint
from training.data.generated.copy_bits import make_copy_bits
from training.data.opening import open_data
from training.errors import Diverged, Interrupted, WrongUse
from training.evaluate import evaluate, in_rows
from training.model import Numbers, SequenceModel
from training.recipe import Recipe, read_recipe
from training.tasks import open_task
from training.tasks.next_symbol import NextSymbol
from training.tasks.recall_bits import RecallBits
from training.trainer import LOG, VALIDATION_ROWS, Trainer, write_log


def trainer(recipe: Recipe, folder: Path, *, stop_in: int | None = None) -> tuple[Trainer, SequenceModel]:
    """Build a trainer as a job does; with `stop_in`, one that is sent SIGINT in that update of this process."""
    folder.mkdir(exist_ok=True)
    data = open_data(recipe.data, shortest=1)
    torch.manual_seed(recipe.training.seed)
    model = build_model(recipe, shape_of(data))
    take_units(model, data)
    task = open_task(recipe.task, model, data)
    if stop_in is not None:
        seen = []

        def interrupt(module: nn.Module, _: object) -> None:
            seen.extend([1] if module.training else [])
            if module.training and len(seen) == stop_in:
                signal.raise_signal(signal.SIGINT)

        model.register_forward_pre_hook(interrupt)
    train, validation = data.parts.train, data.parts.validation
    return Trainer(recipe.training, folder, model=model, task=task, train=train, validation=validation), model


def fit(recipe: Recipe, folder: Path) -> tuple[Progress, dict[str, torch.Tensor]]:
    running, model = trainer(recipe, folder)
    return running.fit(), model.state_dict()


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_the_loss_falls_on_a_small_text(text_file, tmp_path):
    history = fit(small_recipe(text_file, training__updates=150, training__validate_every=50), tmp_path)[0].history
    assert [row[0] for row in history] == [50, 100, 150]
    assert history[-1][1] < history[0][1] - 0.5
    assert history[-1][2] < history[0][2] - 0.3


def test_the_same_seed_gives_the_same_run_and_another_seed_another(text_file, tmp_path):
    runs = [fit(small_recipe(text_file, training__seed=seed), tmp_path / str(i)) for i, seed in enumerate((3, 3, 4))]
    assert runs[0][0].history == runs[1][0].history
    assert_equal(runs[0][1], runs[1][1])
    assert runs[0][0].history != runs[2][0].history


@pytest.mark.parametrize("stops", [[1], [20], [33], [59], [7, 1, 25]])
def test_a_run_that_was_stopped_comes_to_the_same_bits(text_file, tmp_path, stops):
    recipe = small_recipe(text_file, model__dropout=0.3)
    whole, parameters = fit(recipe, tmp_path / "whole")
    done = 0
    for stop in stops:
        running, _ = trainer(recipe, tmp_path / "stopped", stop_in=stop)
        with pytest.raises(Interrupted):
            running.fit()
        done += stop
        assert read_checkpoint(tmp_path / "stopped")["progress"]["update"] == done
    resumed, same = fit(recipe, tmp_path / "stopped")
    assert resumed.history == whole.history
    assert_equal(same, parameters)
    assert (tmp_path / "stopped" / LOG).read_bytes() == (tmp_path / "whole" / LOG).read_bytes()
    saved, expected = read_checkpoint(tmp_path / "stopped"), read_checkpoint(tmp_path / "whole")
    assert_equal(saved["model"], expected["model"])
    assert_equal(saved["progress"]["state"], expected["progress"]["state"])
    assert torch.equal(saved["random"], expected["random"])


def test_the_signals_own_handlers_are_put_back(text_file, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    running, _ = trainer(small_recipe(text_file), tmp_path, stop_in=2)
    with pytest.raises(Interrupted):
        running.fit()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_training_stops_early_and_the_model_is_the_best_one(tmp_path, seed):
    # Noise has nothing to learn but itself, so validation soon gets worse.
    path = tmp_path / "noise.txt"
    letters = torch.randint(97, 123, (1500,), generator=torch.Generator().manual_seed(seed)).tolist()
    path.write_bytes(bytes(letters))
    changed = {"training__updates": 3000, "training__validate_every": 10, "training__patience": 3}
    recipe = small_recipe(path, **changed, model__hidden_size=32, model__dropout=0)
    running, model = trainer(recipe, tmp_path / "run")
    progress = running.fit()
    assert progress.update < 3000
    figures = [row[2] for row in progress.history]
    assert figures.index(min(figures)) == len(figures) - 1 - 3
    validation = in_rows(open_data(recipe.data, shortest=1).parts.validation, VALIDATION_ROWS)
    assert evaluate(model, NextSymbol(), validation).loss == min(figures)


def test_the_log_has_a_json_line_for_each_validation(text_file, tmp_path):
    progress, _ = fit(small_recipe(text_file), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [(line["update"], line["train"], line["validation"]) for line in lines] == progress.history
    assert [line["update"] for line in lines] == [20, 40, 60]
    assert [line["figure"] for line in lines] == progress.figures


def test_the_log_of_a_run_that_an_older_version_began_lacks_the_figures_of_its_first_validations(tmp_path):
    write_log(tmp_path / LOG, Progress(history=[(5, 2.0, 1.5), (10, 1.0, 0.5)], clips=[0.0, 0.5], figures=[0.9]))
    assert [json.loads(line)["figure"] for line in (tmp_path / LOG).read_text().splitlines()] == [None, 0.9]


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_checkpoint(text_file, tmp_path):
    recipe = small_recipe(text_file)
    running, model = trainer(recipe, tmp_path, stop_in=20)
    with pytest.raises(Interrupted):
        running.fit()
    before = (tmp_path / FILE).read_bytes()
    running, model = trainer(recipe, tmp_path)
    with torch.no_grad():
        model.readout.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match=r"the loss is nan after 20 updates; a lower `--set training.learning_rate`"):
        running.fit()
    assert (tmp_path / FILE).read_bytes() == before


def test_gradients_are_clipped_to_the_norm(text_file, tmp_path, monkeypatch):
    norms = []
    step = torch.optim.Adam.step

    def measure(self: torch.optim.Adam, closure: object = None) -> object:
        gradients = [parameter.grad for group in self.param_groups for parameter in group["params"]]
        norms.append(torch.cat([gradient.flatten() for gradient in gradients]).norm().item())
        return step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", measure)
    fit(small_recipe(text_file, training__clip=0.01, training__updates=5), tmp_path)
    assert norms == pytest.approx([0.01] * 5, rel=1e-3)


def test_the_learning_rate_falls_to_zero_over_the_budget(text_file, tmp_path, monkeypatch):
    rates = []
    step = torch.optim.Adam.step

    def note(self: torch.optim.Adam, closure: object = None) -> object:
        rates.extend(group["lr"] for group in self.param_groups)
        return step(self, closure)

    monkeypatch.setattr(torch.optim.Adam, "step", note)
    fit(small_recipe(text_file, training__updates=4, training__learning_rate=0.04), tmp_path)
    assert rates == pytest.approx([0.04, 0.03, 0.02, 0.01])


def test_the_state_is_carried_and_begins_anew_where_the_text_does(text_file, tmp_path):
    recipe = small_recipe(text_file, training__steps=100, training__updates=9)
    running, model = trainer(recipe, tmp_path)
    scan, states = model.cell.scan, []

    def watch(xs, state, lengths=None):
        ys, next_state = scan(xs, state, lengths)
        if model.training:
            states.append((state["h"].detach().clone(), next_state["h"].detach().clone()))
        return ys, next_state

    model.cell.scan = watch
    running.fit()
    # 2,550 characters in 6 rows are 4 stretches of 100 steps.
    for update, (before, _) in enumerate(states):
        expected = torch.zeros_like(before) if update % 4 == 0 else states[update - 1][1]
        assert torch.equal(before, expected), update


def test_a_batch_that_processes_cannot_share_is_refused(text_file, tmp_path, monkeypatch):
    monkeypatch.setattr(Fabric, "world_size", 4)
    with pytest.raises(WrongUse, match=r"training.batch is 6, which 4 processes cannot share"):
        trainer(small_recipe(text_file), tmp_path)


ADDING = """
name = "small"
architecture = "leaky"
task = "regress"

[data]
kind = "set"
name = "adding"
options = { steps = 10, count = 64 }

[model]
hidden_size = 8
dropout = 0.2

[training]
updates = 40
batch = 8
learning_rate = 0.01
validate_every = 10
"""


def adding_recipe(folder: Path, **changed: object) -> Recipe:
    folder.mkdir(exist_ok=True)
    (folder / "small.toml").write_text(ADDING)
    return read_recipe(
        str(folder / "small.toml"), [f"{key.replace('__', '.')}={value}" for key, value in changed.items()]
    )


@pytest.mark.parametrize("stops", [[1], [10], [7, 16]])
def test_a_run_over_whole_sequences_that_was_stopped_comes_to_the_same_bits(tmp_path, stops):
    recipe = adding_recipe(tmp_path)
    whole, parameters = fit(recipe, tmp_path / "whole")
    for stop in stops:
        running, _ = trainer(recipe, tmp_path / "stopped", stop_in=stop)
        with pytest.raises(Interrupted):
            running.fit()
    resumed, same = fit(recipe, tmp_path / "stopped")
    assert resumed.history == whole.history
    assert_equal(same, parameters)


def test_a_batch_learnt_in_parts_is_learnt_as_a_whole(tmp_path):
    whole, parameters = fit(adding_recipe(tmp_path, model__dropout=0), tmp_path / "whole")
    parts, same = fit(adding_recipe(tmp_path, model__dropout=0, training__accumulate=3), tmp_path / "parts")
    assert [row[1:] for row in parts.history] == [pytest.approx(row[1:], rel=1e-3) for row in whole.history]
    assert all(torch.allclose(same[name], tensor, atol=1e-3) for name, tensor in parameters.items())


def test_a_batch_of_which_some_steps_are_asked_is_learnt_in_parts_as_a_whole(tmp_path):
    def gradients(parts: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        settings = adding_recipe(tmp_path, training__accumulate=parts, training__updates=1).training
        model = SequenceModel(embedding=Numbers(3), cell=Leaky(3, 5), outputs=2, dropout=0.0)
        series, folder = make_copy_bits(0, settings.batch, [1, 2, 7], bits=2), tmp_path / str(parts)
        folder.mkdir()
        Trainer(settings, folder, model=model, task=RecallBits(), train=series, validation=series).fit()
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    whole, parts = gradients(1), gradients(3)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient)


def test_parts_of_one_long_text_carry_each_row_its_own_state(text_file, tmp_path):
    whole, _ = fit(small_recipe(text_file, training__updates=20, model__dropout=0), tmp_path / "whole")
    parts, _ = fit(
        small_recipe(text_file, training__updates=20, model__dropout=0, training__accumulate=2), tmp_path / "parts"
    )
    assert parts.history[0][1:] == pytest.approx(whole.history[0][1:], rel=1e-4)


def test_the_share_of_clipped_updates_is_logged(tmp_path):
    for most, share in ((1e-6, 1.0), (1e6, 0.0)):
        recipe = adding_recipe(tmp_path, training__clip=most)
        fit(recipe, tmp_path / str(most))
        lines = [json.loads(line) for line in (tmp_path / str(most) / LOG).read_text().splitlines()]
        assert [line["clipped"] for line in lines] == [share] * 4


def test_gradient_descent_with_momentum_and_mixed_precision_learn_too(tmp_path):
    changed = {"training__optimizer": "sgd", "training__momentum": 0.9, "training__precision": "bf16-mixed"}
    history = fit(adding_recipe(tmp_path, **changed, training__updates=100), tmp_path / "run")[0].history
    assert history[-1][1] < history[0][1]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"architecture": "gru", "training__omega": 1.0}, "training.omega is for a plain network"),
        ({"architecture": "output_recurrence"}, "set model.readout=false"),
        ({"architecture": "output_recurrence", "model__readout": "false", "cell__output_size": 1}, "for each step"),
        (
            {
                "architecture": "output_recurrence",
                "model__readout": "false",
                "cell__output_size": 8,
                "task": "recall_bits",
                "data__name": "copy_bits",
                "data__options": "{ count = 20 }",
            },
            "a target of numbers for each step",
        ),
    ],
)
def test_a_way_to_learn_that_cell_or_data_do_not_have_is_refused(tmp_path, changed, sentence):
    with pytest.raises(WrongUse, match=sentence):
        fit(adding_recipe(tmp_path, **changed), tmp_path / "run")


def test_a_batch_of_stories_in_parts_learns_from_the_same_facts(tmp_path, data_folder):
    data_folder("babi")
    budget = ["training.updates=2", "training.facts=1.0", "cell.noise=0.0", "training.optimizer=sgd"]
    whole, parts = (
        fit(read_recipe("babi_1", [*budget, f"training.accumulate={count}"]), tmp_path / str(count))[1]
        for count in (1, 3)
    )
    free = fit(read_recipe("babi_1", [*budget, "training.facts=0.0"]), tmp_path / "free")[1]
    for name, tensor in whole.items():
        torch.testing.assert_close(tensor, parts[name], rtol=1e-4, atol=1e-6)
    assert any(not torch.allclose(tensor, free[name], rtol=1e-3, atol=1e-4) for name, tensor in whole.items())


def test_a_long_text_is_not_learnt_as_one_sequence(text_file, tmp_path, monkeypatch):
    monkeypatch.setattr("training.trainer.LONGEST", 2000)
    with pytest.raises(WrongUse, match=r"one has 2549 steps; 2000 are the most: cut one long series with `--set"):
        trainer(small_recipe(text_file, training__steps=0), tmp_path)


@pytest.mark.parametrize("key", ["training__omega", "training__facts"])
def test_ways_to_learn_that_processes_would_not_share_are_refused(tmp_path, monkeypatch, key):
    monkeypatch.setattr(Fabric, "world_size", 2)
    with pytest.raises(WrongUse, match="are for one process"):
        trainer(adding_recipe(tmp_path, architecture="elman", **{key: 1.0}), tmp_path / "run")
