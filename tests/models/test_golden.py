import io

import msgspec
import numpy as np
import pytest

from models.errors import GoldenMismatch, ModelDamaged, RowsInvalid
from models.golden import load_arrays, replay_golden, write_golden
from models.runner import Runner
from tests import zoo

MODEL = zoo.running_sum()
ANSWERS = MODEL.answers()


def golden(fed=MODEL.fed, answered=ANSWERS):
    return zoo.archive(
        {f"in.{name}": value for name, value in fed.items()} | {f"out.{n}": v for n, v in answered.items()}
    )


def runner(model=MODEL, **overrides):
    return Runner(msgspec.structs.replace(model.manifest(), **overrides), model.graph)


def test_what_is_written_is_replayed(tmp_path):
    write_golden(tmp_path / "golden.npz", MODEL.fed, ANSWERS)
    assert replay_golden(runner(), (tmp_path / "golden.npz").read_bytes()) == 0


def test_the_names_in_the_file_say_what_was_fed_and_what_was_answered(tmp_path):
    write_golden(tmp_path / "golden.npz", MODEL.fed, ANSWERS)
    with np.load(tmp_path / "golden.npz") as archive:
        assert set(archive) == {"in.x", "in.lengths", "in.state.sum", "out.y", "out.next_state.sum"}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_largest_difference_is_measured_over_outputs_and_states(name):
    other = ANSWERS[name].copy()
    other.flat[0] += 0.25
    other.flat[1] -= 0.125
    assert replay_golden(runner(tolerance=0.25), golden(answered=ANSWERS | {name: other})) == 0.25


@pytest.mark.parametrize("name", ANSWERS)
def test_a_difference_above_the_tolerance_names_the_tensor(name):
    other = ANSWERS[name].copy()
    other.flat[1] += 0.25
    with pytest.raises(GoldenMismatch, match=rf"'{name}' differs .* by 0\.25, more than the tolerance 0\.2$"):
        replay_golden(runner(tolerance=0.2), golden(answered=ANSWERS | {name: other}))


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_golden_answer_that_is_not_finite_is_no_tolerance_for_one_that_is(name, value):
    other = ANSWERS[name].copy()
    other.flat[0] = value
    with pytest.raises(GoldenMismatch, match=f"'{name}' differs from its golden answer by inf"):
        replay_golden(runner(tolerance=1e300), golden(answered=ANSWERS | {name: other}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_same_value_that_is_not_finite_is_the_same_answer(value):
    fed = MODEL.fed | {"state.sum": np.full((2, 1), value, np.float32)}
    answered = {name: np.full_like(array, value) for name, array in ANSWERS.items()}
    answered["y"][0, 2:] = 0
    assert replay_golden(runner(), golden(fed, answered)) == 0


@pytest.mark.parametrize(
    "other", [ANSWERS["y"][:1], ANSWERS["y"][:, :2], ANSWERS["y"].ravel(), ANSWERS["y"].astype(int), np.array("y")]
)
def test_a_golden_answer_of_another_shape_or_kind_is_a_mismatch(other):
    with pytest.raises(GoldenMismatch, match="'y' differs from its golden answer by inf"):
        replay_golden(runner(tolerance=1e300), golden(answered=ANSWERS | {"y": other}))


@pytest.mark.parametrize("name", ["in.x", "in.lengths", "in.state.sum", "out.y", "out.next_state.sum"])
def test_a_tensor_that_the_file_lacks_is_named(name):
    arrays = load_arrays("golden.npz", golden())
    del arrays[name]
    with pytest.raises(ModelDamaged, match=f"the golden file lacks '{name}'"):
        replay_golden(runner(), zoo.archive(arrays))


@pytest.mark.parametrize(
    ("name", "other", "words"),
    [
        ("x", MODEL.fed["x"].astype(np.float64), r"'in.x' is not FP32 \[batch, time, 1\]"),
        ("x", MODEL.fed["x"].ravel(), r"'in.x' is not FP32 \[batch, time, 1\]"),
        ("x", np.array("text"), r"'in.x' is not FP32 \[batch, time, 1\]"),
        ("lengths", np.array([2.0, 3.0]), r"'in.lengths' is not INT64 \[batch\]"),
        ("lengths", np.array(2), r"'in.lengths' is not INT64 \[batch\]"),
        ("state.sum", np.ones(2, np.float32), r"'in.state.sum' is not FP32 \[batch, 1\]"),
    ],
)
def test_a_golden_input_that_is_not_what_the_manifest_says_is_named(name, other, words):
    with pytest.raises(ModelDamaged, match=words):
        replay_golden(runner(), golden(MODEL.fed | {name: other}))


@pytest.mark.parametrize(("rows", "time"), [(0, 3), (2, 0)])
def test_golden_inputs_of_no_rows_or_steps_never_reach_the_graph(rows, time):
    model = zoo.ledger()
    fed = {"x": np.zeros((rows, time), int), "lengths": np.full(rows, time), "state.digest": np.zeros(rows, int)}
    with pytest.raises(RowsInvalid, match=f"{rows} rows and {time} steps"):
        replay_golden(runner(model), golden(fed, model.answers()))


def test_golden_states_of_other_rows_than_the_inputs_are_no_crash():
    with pytest.raises(ModelDamaged, match="the graph fails as it runs"):
        replay_golden(runner(), golden(MODEL.fed | {"state.sum": np.ones((5, 1), np.float32)}))


def bytes_that_are_no_archive():
    whole = golden()
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    pickled = io.BytesIO()
    np.savez(pickled, x=np.array([{}], object))
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 255
    return {
        "empty": b"",
        "text": b"not an archive",
        "cut": whole[: len(whole) // 2],
        "flipped": bytes(flipped),
        "one array": single.getvalue(),
        "pickled": pickled.getvalue(),
    }


@pytest.mark.parametrize("data", bytes_that_are_no_archive().values(), ids=bytes_that_are_no_archive().keys())
def test_bytes_that_are_no_archive_of_arrays_are_damaged(data):
    with pytest.raises(ModelDamaged, match="the golden file is not a NumPy archive"):
        replay_golden(runner(), data)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04"])
def test_an_archive_that_cannot_be_read_is_named(data):
    with pytest.raises(ModelDamaged, match=r"^initial.npz is not a NumPy archive$"):
        load_arrays("initial.npz", data)
