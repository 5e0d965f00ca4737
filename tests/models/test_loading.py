import numpy as np
import pytest

from models.errors import GoldenMismatch, ModelDamaged
from models.loading import load_checked
from models.manifest import Decode
from tests import zoo, zoo_foreign

SUM = zoo.running_sum(2, [0.5, -3.0])


def test_states_begin_at_zero_unless_the_manifest_says_otherwise(repository):
    checked = load_checked(repository, zoo.publish(repository, "lstm", zoo.lstm()))
    assert checked.initial.keys() == {"state.h", "state.c"}
    for row in checked.initial.values():
        assert (row.dtype, row.shape) == (np.float32, (128,))
        assert not row.any()


def test_a_state_of_one_number_a_row_begins_as_a_number(repository):
    checked = load_checked(repository, zoo.publish(repository, "ledger", zoo.ledger()))
    assert checked.initial["state.digest"].shape == ()
    assert checked.initial["state.digest"].dtype == np.int64


def test_a_stored_initial_state_is_the_one_under_its_key(repository):
    checked = load_checked(repository, zoo.publish(repository, "sum", SUM))
    assert checked.initial["state.sum"].tolist() == [0.5, -3.0]


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"other": np.zeros(2, np.float32)},
        {"sum": np.zeros(3, np.float32)},
        {"sum": np.zeros((1, 2), np.float32)},
        {"sum": np.zeros(2)},
    ],
    ids=["nothing", "another key", "another size", "a batch axis", "another datatype"],
)
def test_a_stored_initial_state_that_does_not_fit_is_named(repository, arrays):
    place = zoo.publish(repository, "sum", SUM)
    zoo.replace_file(place, "initial.npz", zoo.archive(arrays))
    with pytest.raises(ModelDamaged, match=r"initial.npz has no FP32 \[2\] under 'sum'"):
        load_checked(repository, place)


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04 cut short"])
def test_initial_states_that_cannot_be_read_are_damaged(repository, data):
    place = zoo.publish(repository, "sum", SUM)
    zoo.replace_file(place, "initial.npz", data)
    with pytest.raises(ModelDamaged, match=r"initial.npz is not a NumPy archive"):
        load_checked(repository, place)


def test_a_checked_model_is_ready_to_run(repository):
    checked = load_checked(repository, zoo.publish(repository, "sum", SUM))
    start = np.stack([checked.initial["state.sum"]])
    outputs, _ = checked.runner.run({"x": np.ones((1, 2, 2), np.float32)}, np.array([2]), {"state.sum": start})
    assert outputs["y"].tolist() == [[[1.5, -2.0], [2.5, -1.0]]]
    assert checked.golden_error <= checked.manifest.tolerance
    assert checked.size == sum(map(len, SUM.files().values()))


def test_texts_are_read_whole_with_their_line_ends(repository):
    text = "ä\n\r\n\u2028 \n"
    place = zoo.publish(repository, "sum", SUM, vocabulary=text)
    checked = load_checked(repository, place)
    assert (checked.vocabulary, checked.labels) == (text, None)


def test_labels_are_read_from_their_own_field(repository):
    place = zoo.publish(repository, "sum", SUM, vocabulary="a\nb", labels=zoo.VOCABULARY)
    assert load_checked(repository, place).labels == "a\nb"


def test_a_text_that_is_not_utf8_is_named(repository):
    place = zoo.publish(repository, "sum", SUM, vocabulary="a")
    zoo.replace_file(place, zoo.VOCABULARY, b"\xff")
    with pytest.raises(ModelDamaged, match=r"vocabulary.txt is not UTF-8 text"):
        load_checked(repository, place)


def test_a_model_that_does_not_give_its_golden_answers_is_refused(repository):
    place = zoo.publish(repository, "sum", SUM)
    zoo.replace_file(place, zoo.GRAPH, zoo.overflow(2).graph)
    with pytest.raises(GoldenMismatch, match="output 'y' differs"):
        load_checked(repository, place)


def test_a_damaged_graph_is_refused(repository):
    place = zoo.publish(repository, "sum", SUM)
    zoo.replace_file(place, zoo.GRAPH, SUM.graph[:100])
    with pytest.raises(ModelDamaged, match="the graph is not one that ONNX Runtime can load"):
        load_checked(repository, place)


def test_what_the_server_does_not_serve_is_checked_all_the_same(repository):
    place = zoo.publish(repository, "sum", SUM, decode=Decode("y", "x", "identity"))
    assert load_checked(repository, place).golden_error <= SUM.manifest().tolerance


@pytest.mark.parametrize(
    "make", [zoo_foreign.layered_lstm, zoo_foreign.scaled_sum, zoo_foreign.half, zoo_foreign.one_step]
)
def test_a_graph_of_any_layout_gives_its_golden_answers(repository, make):
    checked = load_checked(repository, zoo.publish(repository, "foreign", make(), tolerance=1e-5))
    assert checked.golden_error <= 1e-5
    for state in checked.manifest.states:
        assert checked.initial[state.input].shape == state.shape
