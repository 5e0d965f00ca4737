from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from models.errors import ModelDamaged, RowsInvalid
from models.manifest import TensorSpec
from models.runner import Runner
from tests import zoo, zoo_foreign, zoo_roles

MODELS = {
    "lstm": zoo.lstm(),
    "elman": zoo.elman(),
    "ledger": zoo.ledger(),
    "running_sum": zoo.running_sum(3),
    "overflow": zoo.overflow(),
    "lookup": zoo.lookup(),
    "gru": zoo.gru(),
    "leaky": zoo_roles.leaky(),
    "memory": zoo_roles.memory(),
    "characters": zoo_roles.characters(),
}
FOREIGN = {
    "layered_lstm": zoo_foreign.layered_lstm(),
    "scaled_sum": zoo_foreign.scaled_sum(),
    "half": zoo_foreign.half(),
    "one_step": zoo_foreign.one_step(),
}
LONGEST = 9


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def model(request):
    return request.param


@pytest.fixture
def runner(model):
    return runner_of(model)


@pytest.fixture
def rows(model, seed):
    """Give random rows: inputs and states by name, and lengths of which the longest is the batch's time."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, LONGEST + 1, 7)
    lengths[random.integers(7)] = LONGEST
    inputs = {tensor.name: values(random, tensor.dtype, (7, LONGEST, *tensor.shape[1:])) for tensor in model.inputs}
    states = {state.input: values(random, state.dtype, (7, *state.shape)) for state in model.states}
    return inputs, lengths, states


def values(random, dtype, shape):
    if dtype == "INT64":
        return random.integers(0, 4, shape)
    return random.uniform(-1, 1, shape).astype(np.float32)


def runner_of(model, **overrides):
    roles = {name: role.graph for name, role in model.roles.items()}
    return Runner(msgspec.structs.replace(model.manifest(), **overrides), model.graph, **roles)


def one_row(arrays, row):
    return {name: array[row : row + 1] for name, array in arrays.items()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
        assert array.tobytes() == expected[name].tobytes(), f"{name} differs by {np.abs(array - expected[name]).max()}"


def test_answers_are_the_golden_ones_by_name(model, runner):
    inputs = {tensor.name: model.fed[tensor.name] for tensor in model.inputs}
    states = {state.input: model.fed[state.input] for state in model.states}
    outputs, next_states = runner.run(inputs, model.fed["lengths"], states)
    assert outputs.keys() == {tensor.name for tensor in model.outputs}
    assert next_states.keys() == states.keys()
    renamed = {state.output: next_states[state.input] for state in model.states}
    expected = model.answers()
    for name, array in (outputs | renamed).items():
        np.testing.assert_allclose(array, expected[name], atol=1e-6)


def test_what_is_fed_stays_as_it_was(runner, rows):
    inputs, lengths, states = rows
    before = {name: array.copy() for name, array in {**inputs, **states, "lengths": lengths}.items()}
    runner.run(inputs, lengths, states)
    assert_same_bits({**inputs, **states, "lengths": lengths}, before)


def test_a_lone_row_has_the_bits_it_has_in_a_batch(runner, rows):
    inputs, lengths, states = rows
    outputs, next_states = runner.run(inputs, lengths, states)
    for row in range(len(lengths)):
        alone, next_alone = runner.run(one_row(inputs, row), lengths[row : row + 1], one_row(states, row))
        assert_same_bits(alone, one_row(outputs, row))
        assert_same_bits(next_alone, one_row(next_states, row))


def test_a_row_shorter_than_its_batch_has_the_bits_it_has_unpadded(runner, rows):
    inputs, lengths, states = rows
    outputs, next_states = runner.run(inputs, lengths, states)
    for row, length in enumerate(lengths):
        short = {name: array[row : row + 1, :length] for name, array in inputs.items()}
        alone, next_alone = runner.run(short, lengths[row : row + 1], one_row(states, row))
        assert_same_bits(alone, {name: array[row : row + 1, :length] for name, array in outputs.items()})
        assert_same_bits(next_alone, one_row(next_states, row))


def test_what_lies_beyond_a_rows_length_is_never_seen(runner, rows):
    inputs, lengths, states = rows
    beyond = np.arange(LONGEST) >= lengths[:, None]
    other = {name: array.copy() for name, array in inputs.items()}
    for array in other.values():
        array[beyond] = 3
    outputs, next_states = runner.run(inputs, lengths, states)
    others, next_others = runner.run(other, lengths, states)
    assert_same_bits(others, outputs)
    assert_same_bits(next_others, next_states)
    assert not any(array[beyond].any() for array in outputs.values())


@pytest.mark.parametrize("cut", [1, 4, LONGEST - 1])
def test_a_sequence_in_chunks_has_the_bits_of_the_whole(runner, rows, cut):
    inputs, _, states = rows
    rows_ = len(next(iter(inputs.values())))
    whole, last = runner.run(inputs, np.full(rows_, LONGEST), states)
    first = {name: array[:, :cut] for name, array in inputs.items()}
    second = {name: array[:, cut:] for name, array in inputs.items()}
    before, between = runner.run(first, np.full(rows_, cut), states)
    after, end = runner.run(second, np.full(rows_, LONGEST - cut), between)
    assert_same_bits({name: np.concatenate([before[name], after[name]], axis=1) for name in before}, whole)
    assert_same_bits(end, last)


def test_threads_share_a_runner(runner, rows):
    expected, next_expected = runner.run(*rows)
    with ThreadPoolExecutor(4) as pool:
        for found, next_found in pool.map(lambda _: runner.run(*rows), range(40)):
            assert_same_bits(found, expected)
            assert_same_bits(next_found, next_expected)


@pytest.mark.parametrize(
    "lengths",
    [[0, 1], [1, 0], [0, 0], [4, 1], [1, 2**40], [-1, 1], [1, -(2**62)], [1], [1, 1, 1], [], [[1, 1]]],
    ids=str,
)
def test_lengths_that_would_harm_never_reach_the_graph(model, runner, lengths):
    inputs, states = blank(model, rows=2, time=3)
    with pytest.raises(RowsInvalid, match="lengths must be 2 numbers from 1 to 3"):
        runner.run(inputs, np.array(lengths, np.int64), states)
    assert_still_answers(model, runner)


@pytest.mark.parametrize(("rows", "time"), [(0, 3), (2, 0), (1, 0), (0, 0)])
def test_nothing_of_no_rows_or_steps_reaches_the_graph(model, runner, rows, time):
    inputs, states = blank(model, rows=rows, time=time)
    with pytest.raises(RowsInvalid, match=f"a batch of {rows} rows and {time} steps has nothing to run"):
        runner.run(inputs, np.full(rows, time), states)
    assert_still_answers(model, runner)


def blank(model, *, rows, time):
    numpy = {"FP32": np.float32, "INT64": np.int64}
    inputs = {tensor.name: np.zeros((rows, time, *tensor.shape[1:]), numpy[tensor.dtype]) for tensor in model.inputs}
    states = {state.input: np.zeros((rows, *state.shape), numpy[state.dtype]) for state in model.states}
    return inputs, states


def assert_still_answers(model, runner):
    inputs, states = blank(model, rows=2, time=3)
    outputs, _ = runner.run(inputs, np.array([3, 1]), states)
    assert outputs["y"].shape[:2] == (2, 3)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("index", [4, -5, 2**62])
def test_values_that_the_graph_refuses_are_refused_without_a_word_on_the_console(capfd, rows, index):
    runner = runner_of(zoo.lookup(rows=4))
    x = np.zeros((rows, 2), np.int64)
    x[-1, 1] = index
    with pytest.raises(RowsInvalid, match="the graph cannot run on these values"):
        runner.run({"x": x}, np.full(rows, 2), {"state.count": np.zeros(rows, np.int64)})
    assert capfd.readouterr() == ("", "")


def test_states_of_other_rows_than_the_inputs_end_in_an_error_of_ours():
    runner = runner_of(zoo.running_sum())
    with pytest.raises(ModelDamaged, match="the graph fails as it runs"):
        runner.run(
            {"x": np.zeros((2, 3, 1), np.float32)}, np.array([3, 3]), {"state.sum": np.zeros((5, 1), np.float32)}
        )


def test_large_inputs_make_the_state_infinite_and_not_the_answer():
    runner = runner_of(zoo.overflow())
    x = np.array([[[3e38], [3e38]], [[1.0], [2.0]]], np.float32)
    outputs, states = runner.run({"x": x}, np.array([2, 2]), {"state.sum": np.zeros((2, 1), np.float32)})
    assert np.isfinite(outputs["y"]).all()
    assert states["state.sum"].tolist() == [[np.inf], [3.0]]


LEDGER = zoo.ledger()
HALF = LEDGER.graph[: len(LEDGER.graph) // 2]


@pytest.mark.parametrize("graph", [b"", b"not a graph", HALF, LEDGER.graph.replace(b"Scan", b"Scam")])
def test_a_graph_that_cannot_be_loaded_is_damaged(graph):
    with pytest.raises(ModelDamaged, match="the graph is not one that ONNX Runtime can load"):
        Runner(LEDGER.manifest(), graph)


X, Y, Z = TensorSpec("x", "INT64", ("time",)), TensorSpec("y", "INT64", ("time",)), TensorSpec("z", "FP32", ("time",))
(DIGEST,) = LEDGER.states
OTHER_TENSORS = [
    ({"inputs": (X, Z)}, "the graph has no input 'z', which the manifest names"),
    ({"inputs": (Z,)}, "the graph has no input 'z', which the manifest names"),
    ({"outputs": (Y, Z)}, "the graph has no output 'z', which the manifest names"),
    ({"lengths": "ends"}, "the graph has no input 'ends', which the manifest names"),
    ({"lengths": None}, "the graph has an input 'lengths' that the manifest does not name"),
    ({"states": ()}, "the graph has an input 'state.digest' that the manifest does not name"),
    ({"inputs": (msgspec.structs.replace(X, dtype="FP32"),)}, "input 'x' is tensor(int64), but the manifest says FP32"),
    (
        {"outputs": (msgspec.structs.replace(Y, dtype="INT32"),)},
        "output 'y' is tensor(int64), but the manifest says INT32",
    ),
    (
        {"states": (msgspec.structs.replace(DIGEST, dtype="FP64"),)},
        "input 'state.digest' is tensor(int64), but the manifest says FP64",
    ),
    (
        {"states": (msgspec.structs.replace(DIGEST, output="next"),)},
        "the graph has no output 'next', which the manifest names",
    ),
]


@pytest.mark.parametrize(("overrides", "words"), OTHER_TENSORS)
def test_a_graph_with_other_tensors_than_the_manifests_is_damaged(overrides, words):
    with pytest.raises(ModelDamaged) as caught:
        runner_of(LEDGER, **overrides)
    assert words in str(caught.value)


@pytest.fixture(params=FOREIGN.values(), ids=FOREIGN.keys())
def foreign(request):
    return request.param


def foreign_rows(model, random, rows):
    time = 5 if any("time" in tensor.shape for tensor in model.inputs) else 1
    specs = [(tensor.name, tensor.dtype, tensor.shape) for tensor in model.inputs]
    specs += [(state.input, state.dtype, state.shape) for state in model.states]
    fed = {
        name: foreign_values(random, dtype, (rows, *(time if axis == "time" else axis for axis in shape)))
        for name, dtype, shape in specs
    }
    return fed | {"lengths": np.full(rows, time)}


def foreign_values(random, dtype, shape):
    numpy = {"FP16": np.float16, "FP32": np.float32, "INT64": np.int64}[dtype]
    return random.integers(-4, 5, shape).astype(numpy)


def run_foreign(model, runner, fed):
    inputs = {tensor.name: fed[tensor.name] for tensor in model.inputs}
    outputs, states = runner.run(inputs, fed["lengths"], {state.input: fed[state.input] for state in model.states})
    return outputs | {state.output: states[state.input] for state in model.states}


@pytest.mark.parametrize("rows", [1, 2, 6])
def test_a_graph_of_any_layout_answers_as_its_equations_say(foreign, seed, rows):
    fed = foreign_rows(foreign, np.random.default_rng(seed), rows)
    found = run_foreign(foreign, runner_of(foreign), fed)
    expected = foreign.reference(fed)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
        np.testing.assert_allclose(array, expected[name], atol=1e-5)


def test_a_lone_row_of_a_graph_of_any_layout_has_the_bits_it_has_in_a_batch(foreign, seed):
    fed = foreign_rows(foreign, np.random.default_rng(seed), 7)
    runner = runner_of(foreign)
    together = run_foreign(foreign, runner, fed)
    for row in range(7):
        assert_same_bits(run_foreign(foreign, runner, one_row(fed, row)), one_row(together, row))


def test_what_is_fed_to_a_graph_of_any_layout_stays_as_it_was(foreign):
    before = {name: array.copy() for name, array in foreign.fed.items()}
    run_foreign(foreign, runner_of(foreign), foreign.fed)
    assert_same_bits(foreign.fed, before)


def test_a_graph_without_lengths_takes_full_rows_alone(foreign):
    fed, runner = dict(foreign.fed), runner_of(foreign)
    time = int(fed["lengths"][0])
    for wrong in (time - 1, time + 1):
        fed["lengths"] = np.array([wrong, *foreign.fed["lengths"][1:]])
        with pytest.raises(RowsInvalid, match="lengths must"):
            run_foreign(foreign, runner, fed)


def test_no_rows_reach_a_graph_of_any_layout(foreign):
    fed = {name: array[:0] for name, array in foreign.fed.items()}
    with pytest.raises(RowsInvalid, match=r"a batch of 0 rows and \d steps has nothing to run"):
        run_foreign(foreign, runner_of(foreign), fed)


def test_rows_of_a_scalars_value_run_together_and_each_answers_in_its_place(monkeypatch):
    model = zoo_foreign.scaled_sum()
    runner, groups = runner_of(model), []
    run_rows = runner._main._run_rows
    monkeypatch.setattr(
        runner._main, "_run_rows", lambda names, feeds, rows: groups.append(rows) or run_rows(names, feeds, rows)
    )
    found = run_foreign(model, runner, model.fed)
    assert groups == [2, 1, 1]
    assert found["y"][:, 0].tolist() == [0.0, 20.0, 16.0, 36.0]


def test_a_wrong_batch_axis_ends_in_an_error_of_ours():
    model = zoo.running_sum()
    (state,) = model.states
    moved = msgspec.structs.replace(state, shape=(1, 1), batch_axis=2)
    runner = runner_of(model, states=(moved,))
    with pytest.raises((ModelDamaged, RowsInvalid), match="the graph"):
        runner.run(
            {"x": np.ones((2, 3, 1), np.float32)}, np.array([3, 3]), {"state.sum": np.zeros((2, 1, 1), np.float32)}
        )
