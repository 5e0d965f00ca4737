from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from training.architectures import build_cell
from training.architectures.differentiable_neural_computer import DifferentiableNeuralComputer
from training.architectures.leaky import Leaky
from training.architectures.neural_turing_machine import NeuralTuringMachine
from training.architectures.output_recurrence import OutputRecurrence
from training.architectures.trees import read_trees
from training.cell import Source
from training.data.data import Data
from training.data.generated.copy_bits import make_copy_bits
from training.data.series import Parts, Series, next_step
from training.evaluate import evaluate
from training.model import AsTheyAre, Numbers, SequenceModel, symbol_model
from training.pictures import PICTURES
from training.pictures.fields import looks
from training.pictures.free_run import error_after, runs
from training.pictures.memory import panels
from training.pictures.parses import places
from training.pictures.stories import looked_at
from training.pictures.writing import align, draw_writing
from training.tasks.recall_bits import RecallBits

HIDDEN = 6


def data(*series: Series, classes: int = 0, labels: tuple[str, ...] = ()) -> Data:
    return Data(Parts(series, series, series, "the same"), 0, classes, "none", "sha256:0", labels=labels)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


EDGE = 4


def rewritten() -> Data:
    """Rows of symbols, each written from its end."""
    random = np.random.default_rng(0)
    sources = [random.integers(0, EDGE, length) for length in (3, 5, 8, 9)]
    series = [Series(np.append(EDGE, one[::-1]), np.append(one[::-1], EDGE), one) for one in sources]
    parts = Parts(series, series, series, "the same")
    return Data(parts, EDGE + 1, EDGE + 1, "none", "sha256:0", edge=EDGE, ends="symbol", source_symbols=EDGE)


def parsed() -> Data:
    """Two trees of words below 5, whose nodes are joined by 5."""
    trees = [[1, 2, 5], [1, 2, 5, 3, 4, 5, 5]]
    series = [Series(np.array(tree), np.array([node % 2 for node in tree])) for tree in trees]
    return Data(Parts(series, series, series, "the same"), 6, 2, "none", "sha256:0", labels=("bad", "good"))


DATA = {
    "classify": data(*(Series(numbers(n, 2), np.array(n % 3)) for n in (4, 9, 5)), classes=3, labels=("a", "b", "c")),
    "classify_tree": parsed(),
    "forecast": data(next_step(numbers(400, 2))),
    "next_frame": data(next_step((numbers(40, 88) > 0).astype(np.float32))),
    "recall_bits": data(*make_copy_bits(0, 6, [3, 9])),
    "regress": data(*(Series(numbers(n, 2), numbers(1)) for n in (4, 9, 5))),
    "rewrite": rewritten(),
    "transcribe": data(
        *(Series(numbers(n, 2), np.array([1, 0] + [-1] * (n - 2))) for n in (4, 9, 5, 6)),
        classes=3,
        labels=("a", "b", ""),
    ),
    "translate": rewritten(),
}


def model_for(given: Data) -> SequenceModel:
    torch.manual_seed(0)
    if given is DATA["transcribe"]:
        cell = build_cell("transducer", given.features, HIDDEN, {"classes": given.classes})
        outputs, embedding = given.outputs, Numbers(given.features)
        return SequenceModel(embedding=embedding, cell=cell, outputs=outputs, dropout=0.0, readout=False).eval()
    if given.source_symbols:
        cell = build_cell("attention", HIDDEN, HIDDEN, {"source_symbols": given.source_symbols})
        return symbol_model(symbols=given.symbols, embedding_size=HIDDEN, cell=cell, dropout=0.0).eval()
    if given.symbols:
        cell = build_cell("recursive", 1, HIDDEN, {"symbols": given.symbols})
        embedding = AsTheyAre(given.symbols, 0)
        return SequenceModel(embedding=embedding, cell=cell, outputs=given.outputs, dropout=0.0).eval()
    cell = Leaky(given.features, HIDDEN)
    return SequenceModel(embedding=Numbers(given.features), cell=cell, outputs=given.outputs, dropout=0.0).eval()


@pytest.mark.parametrize("task", PICTURES)
def test_every_picture_shows_the_model_that_it_is_of(tmp_path, task):
    model = model_for(DATA[task])
    PICTURES[task](tmp_path / "a.png", model, DATA[task])
    with torch.no_grad():
        last = model.readout or model.cell.layers[-1].O
        last.weight.mul_(-3)
        last.bias.add_(torch.randn_like(last.bias))
    PICTURES[task](tmp_path / "b.png", model, DATA[task])
    first, second = imread(tmp_path / "a.png"), imread(tmp_path / "b.png")
    assert first.shape[0] > 400
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_answers_for_each_step_are_drawn_over_what_was_asked_for(tmp_path):
    given = data(Series(numbers(50, 2), numbers(50, 1)))
    assert PICTURES["regress"](tmp_path / "a.png", model_for(given), given) == {}
    assert imread(tmp_path / "a.png").shape[0] > 400


def test_of_a_network_that_reads_its_own_output_the_forced_error_is_told_too(tmp_path):
    given = data(Series(numbers(50, 2), numbers(50, 1)))
    torch.manual_seed(0)
    cell = OutputRecurrence(2, HIDDEN, output_size=1)
    model = SequenceModel(embedding=Numbers(2), cell=cell, outputs=1, dropout=0.0, readout=False).eval()
    found = PICTURES["regress"](tmp_path / "a.png", model, given)
    series = given.parts.test[0]
    x, truth = (torch.from_numpy(array[None]) for array in (series.inputs, series.targets))
    expected = (cell.forced(x, truth, cell.init_state(1))[0] - truth).square().mean().item()
    assert found == {"teacher_forced": pytest.approx(expected)}


@pytest.mark.parametrize("layer", ["grid", "multidimensional_lstm"])
def test_what_a_grids_answer_has_looked_at_is_drawn_on_the_grid_whatever_layers_are_above(tmp_path, layer):
    given = data(*(Series(numbers(4, 5), np.array(n)) for n in range(3)), classes=3)
    torch.manual_seed(0)
    cell = build_cell("stack", 5, HIDDEN, {"layers": (layer, "gru")})
    model = SequenceModel(embedding=Numbers(5), cell=cell, outputs=3, dropout=0.0).eval()
    assert PICTURES["classify"](tmp_path / "a.png", model, given) == {}
    assert imread(tmp_path / "a.png").shape[0] > 400
    x = torch.from_numpy(np.stack([one.inputs for one in given.parts.test]))
    found = looks(model, x, torch.full((3,), 4))
    columns = {name: (seen > 0).all(1).any(0).nonzero()[:, 0].tolist() for name, seen in found.items()}
    assert columns == {
        "the answer": [0, 1, 2, 3, 4], "middle, to the right": [0, 1, 2], "middle, to the left": [2, 3, 4],
    }  # fmt: skip


def turing_machine() -> SequenceModel:
    torch.manual_seed(0)
    cell = NeuralTuringMachine(9, HIDDEN, reads=2, slots=12, width=4)
    return SequenceModel(embedding=Numbers(9), cell=cell, outputs=8, dropout=0.0).eval()


def test_wrong_bits_are_told_by_the_length_of_the_sequence(tmp_path):
    model, given = turing_machine(), DATA["recall_bits"]
    found = PICTURES["recall_bits"](tmp_path / "a.png", model, given)
    of = {steps: [one for one in given.parts.test if len(one.inputs) == steps] for steps in (7, 19)}
    assert found.keys() == {"wrong_bits_in_7_steps", "wrong_bits_in_19_steps"}
    total = sum(found[f"wrong_bits_in_{steps}_steps"] * len(series) for steps, series in of.items())
    assert total == pytest.approx(evaluate(model, RecallBits(), given.parts.test).figure * len(given.parts.test))


def test_of_many_lengths_no_figures_are_told(tmp_path):
    given = data(*make_copy_bits(0, 100))
    assert PICTURES["recall_bits"](tmp_path / "a.png", turing_machine(), given) == {}


def test_a_memory_is_shown_as_it_was_at_each_step():
    model, series = turing_machine(), DATA["recall_bits"].parts.test[0]
    shown = panels(model, series)
    state = model.begin(1)
    for step, x in enumerate(torch.from_numpy(series.inputs)):
        answer, state = model(x[None, None], state)
        expected = {
            "where it wrote": state["w"][0, 2],
            "where it read": state["w"][0, :2].amax(0),
            "what it kept, by its length": state["M"][0].norm(dim=-1),
            "what was answered": answer[0, 0].sigmoid() if step > series.asked else torch.zeros(8),
        }
        for title, wanted in expected.items():
            np.testing.assert_allclose(shown[title][step], wanted.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_the_memory_of_a_computer_is_shown_as_it_was_at_each_step():
    torch.manual_seed(0)
    cell = DifferentiableNeuralComputer(9, HIDDEN, reads=2, slots=12, width=4)
    model = SequenceModel(embedding=Numbers(9), cell=cell, outputs=8, dropout=0.0).eval()
    series = DATA["recall_bits"].parts.test[0]
    shown, state = panels(model, series), model.begin(1)
    for step, x in enumerate(torch.from_numpy(series.inputs)):
        _, state = model(x[None, None], state)
        expected = {
            "where it wrote": state["w_w"][0],
            "where it read": state["w_r"][0].amax(0),
            "what it kept, by its length": state["M"][0].norm(dim=-1),
        }
        for title, wanted in expected.items():
            np.testing.assert_allclose(shown[title][step], wanted.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_free_run_reads_nothing_but_its_own_forecasts_after_what_was_read():
    series = next_step(numbers(400, 1))
    model = model_for(data(series))
    truth, forecasts = runs(model, series, read=20, run=5)
    later = series.inputs.copy()
    later[20:] += 100
    _, same = runs(model, Series(later, later), read=20, run=5)
    assert torch.equal(forecasts[0], same[0])
    assert torch.equal(truth[0], torch.from_numpy(series.inputs[20:25]))


def test_a_free_run_of_a_model_that_knows_the_series_has_no_error():
    class Counting(torch.nn.Module):
        def forward(self, x, state):
            return x + 1, state

        class cell:  # noqa: N801  as a model's
            init_state = staticmethod(lambda rows: {})

    truth, forecasts = runs(Counting(), next_step(np.arange(300, dtype=np.float32)[:, None]), read=20, run=10)
    assert torch.equal(truth, forecasts)
    assert error_after(truth, forecasts + 2, torch.tensor([4.0])).tolist() == [0.5] * 10


def test_a_short_series_is_read_for_a_half_and_run_for_the_other():
    series = next_step(numbers(31, 1))
    truth, forecasts = runs(model_for(data(series)), series)
    assert truth.shape == forecasts.shape == (1, 15, 1)


def test_an_alignment_is_of_what_the_model_writes_and_each_step_looks_somewhere():
    given = rewritten()
    series, model = given.parts.test[-1], model_for(given)
    found = align(model, series, edge=EDGE)
    assert found.weights.shape[1] == len(series.context)
    assert len(found.symbols) <= len(found.weights)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(len(found.weights)))
    read = torch.tensor([[EDGE, *found.symbols]])
    source = Source(torch.from_numpy(series.context)[None], torch.tensor([len(series.context)]))
    with torch.no_grad():
        answers, _ = model(read, model.begin(1, source))
    assert answers[0].argmax(-1).tolist()[: len(found.symbols)] == found.symbols


def pointing() -> tuple[SequenceModel, Data]:
    """A pointer that was not trained, and rows of four kinds whose places are asked for from the end."""
    random = np.random.default_rng(0)
    series = []
    for length in (3, 8, 9):
        places = np.arange(length)[::-1]
        series.append(Series(np.append(9, places), np.append(places, 9), random.integers(0, 4, length)))
    parts, words = Parts(series, series, series, "the same"), ("north", "east", "south", "west")
    given = Data(parts, 10, 10, "none", "sha256:0", edge=9, ends="symbol", source_symbols=4, source_vocabulary=words)
    torch.manual_seed(0)
    cell = build_cell("pointer", 1, HIDDEN, {"symbols": 10, "source_symbols": 4, "source_size": 5})
    return SequenceModel(embedding=AsTheyAre(10, 0), cell=cell, outputs=10, dropout=0.0, readout=False).eval(), given


def test_where_a_pointer_points_is_drawn_step_by_step_as_probably_as_it_does(tmp_path, monkeypatch):
    model, given = pointing()
    series = given.parts.test[1]
    found = align(model, series, edge=9)
    assert found.symbols
    read = torch.tensor([[9, *found.symbols]])
    source = Source(torch.from_numpy(series.context)[None], torch.tensor([8]))
    with torch.no_grad():
        answers, _ = model(read, model.begin(1, source))
    steps = len(found.symbols)
    torch.testing.assert_close(found.weights[:steps], answers[0, :steps].softmax(-1)[:, :8])
    assert found.weights.sum(1).max() < 1
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path: drawn.append(self))
    draw_writing("rewrite", tmp_path / "a.png", model, given)
    first, second, by_length = drawn[0].axes
    assert [axes.get_ylabel() for axes in (first, second, by_length)] == ["pointed to"] * 2 + ["sequences right"]
    np.testing.assert_array_equal(first.images[0].get_array(), found.weights[:steps])
    texts = [given.source_vocabulary[symbol] for symbol in series.context]
    assert [label.get_text() for label in first.get_xticklabels()] == texts
    assert [label.get_text() for label in first.get_yticklabels()] == [texts[place] for place in found.symbols]


def test_of_a_story_what_each_hop_looked_at_is_drawn(tmp_path):
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    stories = [Series(random.integers(1, 7, (length, 4)), np.array(length % 7)) for length in (1, 4, 9)]
    parts = Parts(stories, stories, stories, "the same")
    given = Data(parts, 7, 7, "none", "sha256:0", vocabulary=("", *"abcdef"), labels=("", *"abcdef"))
    cell = build_cell("memory_network", 4, HIDDEN, {"symbols": 7, "hops": 2})
    model = SequenceModel(embedding=AsTheyAre(7, 4), cell=cell, outputs=7, dropout=0.0, readout=False).eval()
    PICTURES["classify"](tmp_path / "a.png", model, given)
    assert imread(tmp_path / "a.png").shape[0] > 400
    shares, answer = looked_at(model, stories[2])
    assert shares.shape == (8, 2)
    torch.testing.assert_close(shares.sum(0), torch.ones(2))
    with torch.no_grad():
        answers, _ = model(torch.from_numpy(stories[2].inputs)[None], model.begin(1))
    assert answer == answers[0, -1].argmax()


def test_of_stories_with_facts_those_are_told_that_their_hops_looked_at_most(tmp_path):
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    cell = build_cell("memory_network", 4, HIDDEN, {"symbols": 7, "hops": 2, "slots": 6})
    model = SequenceModel(embedding=AsTheyAre(7, 4), cell=cell, outputs=7, dropout=0.0, readout=False).eval()
    stories = [Series(random.integers(1, 7, (length, 4)), np.array(length % 7)) for length in (2, 4, 9)]
    most = [looked_at(model, one)[0].argmax(0).numpy() + max(0, len(one.inputs) - 7) for one in stories]
    for wrong in range(3):
        facts = [place.copy() for place in most]
        facts[2][:wrong] -= 1
        told = [replace(one, facts=places) for one, places in zip(stories, facts, strict=True)]
        parts = Parts(told, told, told, "the same")
        given = Data(parts, 7, 7, "none", "sha256:0", vocabulary=("", *"abcdef"), labels=("", *"abcdef"))
        assert PICTURES["classify"](tmp_path / f"{wrong}.png", model, given) == {"facts_looked_at": (6 - wrong) / 6}
    assert not np.array_equal(imread(tmp_path / "0.png"), imread(tmp_path / "2.png"))


def test_words_stand_in_their_order_and_parents_between_their_children_and_above():
    trees = read_trees(torch.tensor([[1, 2, 5, 3, 4, 5, 5]]), 5, 9, None)
    assert trees is not None
    assert places(trees, 7) == ([0.0, 1.0, 0.5, 2.0, 3.0, 2.5, 1.5], [0, 0, 1, 0, 0, 1, 2])
