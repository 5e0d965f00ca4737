import msgspec
import numpy as np
import onnx
import pytest

from models.errors import GoldenMismatch, ModelDamaged, ModelUnsupported, RowsInvalid
from models.loading import load_checked
from models.manifest import TensorSpec
from models.runner import Runner
from tests import zoo, zoo_roles
from tests.zoo import Role

DECODER = zoo_roles.annotations()
MEMORY = zoo_roles.memory()
LEAKY = zoo_roles.leaky()


def runner_of(model, **overrides):
    roles = {name: role.graph for name, role in model.roles.items()}
    return Runner(msgspec.structs.replace(model.manifest(), **overrides), model.graph, **roles)


def with_role(model, name, graph, fed=None):
    role = Role(graph, model.roles[name].fed if fed is None else fed)
    return replaced(model, roles={name: role})


def replaced(model, **fields):
    return type(model)(**{name: getattr(model, name) for name in model.__slots__} | fields)


def edited(graph, edit):
    model = onnx.load_from_string(graph)
    edit(model.graph)
    return model.SerializeToString()


def test_start_makes_the_states_that_its_graph_names():
    runner = runner_of(DECODER)
    assert runner.start_inputs == (TensorSpec("source", "FP32", ("source", 5)),)
    states = runner.start(DECODER.roles["start"].fed)
    assert states.keys() == {"state.annotations", "state.source_length"}
    assert states["state.annotations"].shape == (2, 4, 8)
    assert states["state.source_length"].tolist() == [4, 4]


def test_a_row_started_alone_has_the_states_it_has_in_a_batch():
    runner, source = runner_of(DECODER), DECODER.roles["start"].fed["source"]
    together = runner.start({"source": source})
    for row in range(len(source)):
        for name, array in runner.start({"source": source[row : row + 1]}).items():
            assert array.tobytes() == together[name][row].tobytes()


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5)])
def test_nothing_of_no_rows_or_no_source_reaches_the_start_graph(shape):
    with pytest.raises(RowsInvalid, match=r"'source' is \[.*\]: an axis of nothing cannot be run"):
        runner_of(DECODER).start({"source": np.zeros(shape, np.float32)})


def test_started_sequences_attend_to_their_own_source_whatever_the_others_length():
    runner, random = runner_of(DECODER), np.random.default_rng(3)
    sources = [random.uniform(-1, 1, (1, size, 5)).astype(np.float32) for size in (2, 6)]
    starts = [runner.start({"source": source}) for source in sources]
    x, h = random.uniform(-1, 1, (2, 3, 3)).astype(np.float32), np.zeros((2, 8), np.float32)
    padded = np.concatenate(
        [
            np.pad(starts[0]["state.annotations"], [(0, 0), (0, 4), (0, 0)], constant_values=7),
            starts[1]["state.annotations"],
        ]
    )
    sizes = np.array([2, 6])
    together, _ = runner.run(
        {"x": x}, np.array([3, 3]), {"state.h": h, "state.annotations": padded, "state.source_length": sizes}
    )
    for row, start in enumerate(starts):
        alone, _ = runner.run({"x": x[row : row + 1]}, np.array([3]), {"state.h": h[:1], **start})
        assert alone["y"].tobytes() == together["y"][row].tobytes()
    assert together["y"][0].tobytes() != together["y"][1].tobytes()


@pytest.mark.parametrize("sizes", [[5, 1, 1], [-1, 1, 1], [1, 1], [2**40, 1, 1]], ids=str)
def test_a_length_that_the_free_axis_does_not_have_is_refused(sizes):
    fed = DECODER.fed | {"state.source_length": np.array(sizes)}
    states = {state.input: fed[state.input] for state in DECODER.states}
    with pytest.raises(RowsInvalid, match=r"'state\.source_length' must be 3 numbers from 0 to 4"):
        runner_of(DECODER).run({"x": fed["x"]}, fed["lengths"], states)


def test_a_free_axis_with_nothing_in_any_row_never_reaches_the_graph_empty():
    states = {state.input: DECODER.fed[state.input] for state in DECODER.states}
    nothing = states | {"state.annotations": np.zeros((3, 0, 8), np.float32), "state.source_length": np.zeros(3, int)}
    _, after = runner_of(DECODER).run({"x": DECODER.fed["x"]}, DECODER.fed["lengths"], nothing)
    assert after["state.annotations"].shape == (3, 1, 8)
    assert after["state.source_length"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("length_of", ["x", "state.h"])
def test_a_length_of_that_counts_nothing_is_refused(length_of):
    first, second, third = DECODER.states
    wrong = (first, msgspec.structs.replace(second, length_of=length_of), third)
    with pytest.raises(ModelDamaged, match=f"'state.annotations' has the length_of '{length_of}'"):
        runner_of(DECODER, states=wrong)


def test_peek_answers_from_the_state_alone():
    runner = runner_of(MEMORY)
    assert runner.peek_inputs == (TensorSpec("question", "FP32", (4,)),)
    assert runner.peek_outputs == (TensorSpec("answer", "FP32", (4,)),)
    question = np.array([[1, 0, 0, 0], [0, 2, 0, 0]], np.float32)
    slots = np.zeros((2, 4, 4), np.float32)
    slots[0, 1], slots[1, 2] = [1, 0, 0, 5], [0, 3, 1, 0]
    states = {"state.memory": slots, "state.count": np.array([2, 3])}
    before = {name: array.copy() for name, array in states.items()}
    answers = runner.peek({"question": question}, np.array([1, 1]), states)
    assert answers["answer"].tolist() == [[1, 0, 0, 5], [0, 18, 6, 0]]
    assert all((states[name] == before[name]).all() for name in states)


def test_peek_sees_what_the_steps_wrote():
    runner = runner_of(MEMORY)
    states = {"state.memory": np.zeros((1, 4, 4), np.float32), "state.count": np.zeros(1, np.int64)}
    x = np.array([[[1, 0, 0, 2], [0, 1, 0, 3]]], np.float32)
    outputs, states = runner.run({"x": x}, np.array([2]), states)
    assert outputs["y"].tolist() == [[1, 2]]
    answer = runner.peek({"question": np.array([[0, 1, 0, 0]], np.float32)}, np.array([1]), states)["answer"]
    assert answer.tolist() == [[0, 1, 0, 3]]


@pytest.mark.parametrize(("rows", "lengths"), [(0, []), (2, [1]), (2, [0, 1]), (2, [1, 2])])
def test_wrong_rows_never_reach_the_peek_graph(rows, lengths):
    states = {"state.memory": np.zeros((rows, 4, 4), np.float32), "state.count": np.zeros(rows, np.int64)}
    with pytest.raises(RowsInvalid):
        runner_of(MEMORY).peek({"question": np.ones((rows, 4), np.float32)}, np.array(lengths, np.int64), states)


def test_a_model_without_start_or_peek_says_so():
    runner = runner_of(LEAKY)
    with pytest.raises(ModelUnsupported, match="no start graph"):
        runner.start({})
    with pytest.raises(ModelUnsupported, match="no peek graph"):
        runner.peek({}, np.array([1]), {})


def test_the_step_graph_runs_where_every_row_has_one_step(monkeypatch):
    runner, steps = runner_of(LEAKY), []
    run = runner._step.run
    monkeypatch.setattr(runner._step, "run", lambda *given: steps.append(given[2]) or run(*given))
    h = np.zeros((3, 8), np.float32)
    for time, asked in ((1, True), (2, True), (1, False)):
        runner.run({"x": np.ones((3, time, 3), np.float32)}, np.full(3, time), {"state.h": h}, step=asked)
    assert steps == [3]


def test_a_step_graph_that_is_not_the_main_graphs_step_to_the_bit_is_refused(repository):
    def nudge(graph):
        [leak] = [weight for weight in graph.initializer if weight.name == "leak"]
        leak.CopyFrom(onnx.numpy_helper.from_array(np.nextafter(np.float32(0.25), np.float32(1)), "leak"))

    wrong = with_role(LEAKY, "step", edited(LEAKY.roles["step"].graph, nudge))
    place = zoo.publish(repository, "leaky", wrong)
    with pytest.raises(GoldenMismatch, match=r"the step graph's '.*' is not bit for bit the main graph's"):
        load_checked(repository, place)


def test_a_step_graph_with_a_time_axis_is_refused():
    manifest = msgspec.structs.replace(LEAKY.manifest(), lengths=None)
    timed = zoo.build(
        'g (float[batch, time, 3] x, float[batch, 8] "state.h") => (float[batch, time, 2] y, '
        'float[batch, 8] "next_state.h") { y = MatMul (x, V)\n "next_state.h" = Identity ("state.h") }',
        {"V": np.ones((3, 2), np.float32)},
    )
    with pytest.raises(ModelDamaged, match="'x' has 3 axes, not 2: one step has no time"):
        Runner(manifest, timed, step=timed)


def test_the_main_graph_is_no_step_graph():
    with pytest.raises(ModelDamaged, match="the step graph has an input 'lengths' that the manifest does not name"):
        Runner(LEAKY.manifest(), LEAKY.graph, step=LEAKY.graph)


def other_name(graph):
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == "state.annotations":
                node.output[place] = "other"
    graph.output[0].name = "other"
    del graph.output[1]


def fixed_batch(graph):
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (other_name, "must take an input and give a state by the name that the main graph takes"),
        (fixed_batch, "the start graph's 'source' has 1 on its first axis, which must be the batch's"),
    ],
)
def test_a_start_graph_that_starts_nothing_is_refused(edit, words):
    with pytest.raises(ModelDamaged, match=words):
        Runner(DECODER.manifest(), DECODER.graph, start=edited(DECODER.roles["start"].graph, edit))


def test_a_start_graph_is_held_to_its_golden_answers(repository):
    def scale(graph):
        [weight] = graph.initializer
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 2, "A"))

    place = zoo.publish(repository, "decoder", DECODER)
    zoo.replace_file(place, "start.onnx", edited(DECODER.roles["start"].graph, scale))
    with pytest.raises(GoldenMismatch, match=r"the start graph's 'state\.annotations' differs"):
        load_checked(repository, place)


def test_a_peek_graph_is_held_to_its_golden_answers(repository):
    place = zoo.publish(repository, "memory", MEMORY)

    def negate(graph):
        graph.node[-1].output[0] = "positive"
        graph.node.append(onnx.helper.make_node("Neg", ["positive"], ["answer"]))

    zoo.replace_file(place, "peek.onnx", edited(MEMORY.roles["peek"].graph, negate))
    with pytest.raises(GoldenMismatch, match="the peek graph's 'answer' differs"):
        load_checked(repository, place)


@pytest.mark.parametrize(("model", "role"), [(DECODER, "start"), (MEMORY, "peek")])
def test_a_start_or_peek_graph_without_golden_answers_is_refused(repository, model, role):
    place = zoo.publish(repository, "bare", with_role(model, role, model.roles[role].graph, {}))
    with pytest.raises(ModelDamaged, match=rf"the golden file lacks '{role}\.in\."):
        load_checked(repository, place)
