"""One suite for every model of the zoo: what it answers depends on neither batch, chunks nor padding."""

import numpy as np
import pytest

from models.device_array import DeviceArray, on_host
from models.loading import load_checked
from models.rows import steps_of, time_axis
from models.tensors import NUMPY, TIME
from tests import zoo, zoo_foreign, zoo_roles

MODELS = {
    "lstm": zoo.lstm(),
    "gru": zoo.gru(),
    "elman": zoo.elman(),
    "ledger": zoo.ledger(),
    "running_sum": zoo.running_sum(3, [0.5, -1.0, 2.0]),
    "lookup": zoo.lookup(),
    "layered_lstm": zoo_foreign.layered_lstm(),
    "scaled_sum": zoo_foreign.scaled_sum(),
    "half": zoo_foreign.half(),
    "one_step": zoo_foreign.one_step(),
    "leaky": zoo_roles.leaky(),
    "annotations": zoo_roles.annotations(),
    "memory": zoo_roles.memory(),
    "characters": zoo_roles.characters(),
}
TIMED = {name: model for name, model in MODELS.items() if any(time_axis(tensor) for tensor in model.inputs)}
ROWS, STEPS, LONGEST = 6, 7, 5


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    return request.param


@pytest.fixture
def checked(model, repository):
    return load_checked(repository, zoo.publish(repository, "tried", model, tolerance=1e-5))


@pytest.fixture
def rows(model, checked, seed):
    """Give random inputs, lengths and states; one step without a time axis, full rows without lengths."""
    random = np.random.default_rng(seed)
    steps = STEPS if any(time_axis(tensor) for tensor in model.inputs) else 1
    lengths = np.full(ROWS, steps)
    if model.lengths is not None:
        lengths[1:] = random.integers(1, steps + 1, ROWS - 1)
    inputs = {tensor.name: draw(random, tensor.dtype, tensor.shape, steps) for tensor in model.inputs}
    states = {state.input: draw(random, state.dtype, state.shape, steps) for state in model.states}
    for state in model.states:
        if state.length_of is not None:
            states[state.length_of] = np.array([LONGEST, *random.integers(1, LONGEST + 1, ROWS - 1)])
    return inputs, lengths, states


def draw(random, dtype, shape, steps):
    sizes = (ROWS, *(axis if isinstance(axis, int) else steps if axis == TIME else LONGEST for axis in shape))
    if NUMPY[dtype].kind == "f":
        return random.uniform(-1, 1, sizes).astype(NUMPY[dtype])
    return random.integers(0, 4, sizes).astype(NUMPY[dtype])


def one_row(arrays, row):
    return {name: array[row : row + 1] for name, array in arrays.items()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape)
        assert array.tobytes() == expected[name].tobytes(), f"{name} has other bits"


def test_a_row_alone_and_unpadded_has_the_bits_it_has_in_a_batch(model, checked, rows):
    inputs, lengths, states = rows
    outputs, next_states = checked.runner.run(*rows)
    for row, length in enumerate(lengths):
        short = steps_of(model.inputs, one_row(inputs, row), 0, length)
        before, after = one_row(states, row), one_row(next_states, row)
        for state in model.states:
            if state.length_of is not None:
                size = int(states[state.length_of][row])
                before[state.input] = before[state.input][:, :size]
                after[state.input] = after[state.input][:, :size]
        alone, next_alone = checked.runner.run(short, lengths[row : row + 1], before)
        assert_same_bits(alone, steps_of(model.outputs, one_row(outputs, row), 0, length))
        assert_same_bits(next_alone, after)


@pytest.mark.parametrize("count", [1, ROWS])
def test_states_on_a_device_stay_there_and_have_the_bits_of_those_on_the_host(model, checked, rows, count):
    inputs, lengths, states = (
        {k: a[:count] for k, a in part.items()} if isinstance(part, dict) else part[:count] for part in rows
    )
    there = {name: DeviceArray.of(array, "cpu") for name, array in states.items()}
    outputs, next_states = checked.runner.run(inputs, lengths, there)
    expected, next_expected = checked.runner.run(inputs, lengths, states)
    assert_same_bits(outputs, expected)
    assert all(isinstance(array, DeviceArray) for array in next_states.values())
    assert_same_bits({name: on_host(array) for name, array in next_states.items()}, next_expected)
    assert_same_bits({name: array.numpy() for name, array in there.items()}, states)


@pytest.mark.parametrize("model", TIMED.values(), ids=TIMED, indirect=True)
@pytest.mark.parametrize("first", [1, 3, STEPS - 1])
def test_a_sequence_in_chunks_has_the_bits_of_the_whole(model, checked, rows, first):
    inputs, _, states = rows
    runner = checked.runner
    whole, last = runner.run(inputs, np.full(ROWS, STEPS), states)
    before, between = runner.run(steps_of(model.inputs, inputs, 0, first), np.full(ROWS, first), states)
    rest = STEPS - first
    after, end = runner.run(steps_of(model.inputs, inputs, first, STEPS), np.full(ROWS, rest), between)
    joined = {
        spec.name: np.concatenate([before[spec.name], after[spec.name]], time_axis(spec)) for spec in model.outputs
    }
    assert_same_bits(joined, whole)
    assert_same_bits(end, last)


def test_what_lies_beyond_the_length_of_a_free_axis_is_never_seen(model, checked, rows):
    inputs, lengths, states = rows
    other = {name: array.copy() for name, array in states.items()}
    free = [state for state in model.states if state.length_of is not None]
    for state in free:
        other[state.input][np.arange(LONGEST) >= states[state.length_of][:, None]] = 3
    outputs, next_states = checked.runner.run(inputs, lengths, states)
    others, next_others = checked.runner.run(inputs, lengths, other)
    assert_same_bits(others, outputs)
    kept = [state.input for state in model.states if state not in free]
    assert_same_bits({name: next_others[name] for name in kept}, {name: next_states[name] for name in kept})
