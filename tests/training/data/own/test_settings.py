import msgspec
import pytest

from training.data.own.settings import TableData, WavData


def read(**table: object) -> TableData | WavData:
    return msgspec.convert({"path": "a.csv", **table}, TableData | WavData)


def test_the_kind_says_which_settings_a_table_of_a_recipe_has():
    assert read(kind="table", inputs=["a"]) == TableData(path="a.csv", inputs=("a",))
    assert read(kind="wav", label="name") == WavData(path="a.csv", label="name")


def test_columns_are_named_once_and_unused_ones_left_out():
    data = TableData(path="a", inputs=("a", "b"), targets=("b",), sequence=("id",), time="t")
    assert data.columns == ["a", "b", "id", "t"]
    assert data.numbers == ["a", "b"]
    assert TableData(path="a", inputs=("a",), targets=("b",), classes=("x",)).numbers == ["a"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({}, "missing required field `inputs`"),
        ({"inputs": []}, "length >= 1"),
        ({"inputs": ["a"], "classes": ["x"]}, "classes are of one column of targets"),
        ({"inputs": ["a"], "per_sequence": True}, "per_sequence needs targets"),
        ({"inputs": ["a"], "longest": 1}, "longest is 0 or at least 2"),
        ({"inputs": ["a"], "input": ["b"]}, "unknown field `input`"),
        ({"inputs": ["a"], "separator": ", "}, "length <= 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(table, sentence):
    with pytest.raises(msgspec.ValidationError, match=sentence):
        read(kind="table", **table)
