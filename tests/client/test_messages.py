"""Values: answers read, inputs made arrays, last steps cut."""

import numpy as np
import pytest

from client.errors import InvalidRequest
from client.messages import Reply, answer_of, as_arrays, last_steps


def test_an_answer_has_what_the_server_told_and_the_known_position_otherwise():
    y = np.zeros((1, 2))
    told = answer_of(Reply("1", {"y": y}, {"recur_step": 4, "recur_replayed": True, "recur_finish_reason": "end"}), 2)
    assert (told.position, told.replayed, told.finish_reason) == (4, True, "end")
    assert told["y"] is y
    silent = answer_of(Reply("1", {}), 2)
    assert (silent.position, silent.replayed, silent.finish_reason) == (2, False, None)


def test_text_becomes_bytes_and_numbers_stay():
    arrays = as_arrays({"t": [["ä", "bc"]], "b": np.array([[b"a"]]), "x": np.float32([[1]])})
    assert arrays["t"].tolist() == [["ä".encode(), b"bc"]]
    assert arrays["t"].dtype == arrays["b"].dtype == object
    assert arrays["x"].dtype == np.float32


def test_the_last_valid_step_of_each_row_is_cut():
    x = np.arange(12).reshape(3, 4)
    ragged = last_steps({"x": x, "lengths": np.array([2, 4, 1])}, np.array([0, 2]))
    assert {name: array.tolist() for name, array in ragged.items()} == {"x": [[1], [8]]}
    deep = last_steps({"x": x[..., None], "flag": np.array([7, 8, 9])}, np.array([1]))
    assert {name: array.tolist() for name, array in deep.items()} == {"x": [[[7]]], "flag": [8]}
    assert last_steps({"x": np.zeros((1, 0))}, np.array([0]))["x"].shape == (1, 0)


@pytest.mark.parametrize(
    "value",
    [[[2**70]], [[1, 2], [3]], None, [[None]], [["\ud800"]], np.array([[object()]]), np.array([["a", 1]], object)],
)
def test_what_the_protocol_cannot_hold_is_one_line_that_names_the_input(value):
    with pytest.raises(InvalidRequest, match=r"^INVALID_ARGUMENT: input 'x' .* (expected|length|it)$"):
        as_arrays({"x": value})


def test_text_in_an_array_of_objects_becomes_bytes_too():
    assert as_arrays({"x": np.array([["ä", b"b"]], object)})["x"].tolist() == [["ä".encode(), b"b"]]
