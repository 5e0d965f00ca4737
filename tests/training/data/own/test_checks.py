import datetime

import polars as pl
import pytest

from training.data.own.checks import wrong_with
from training.data.own.frame import Frame
from training.data.own.settings import TableData
from training.errors import DataInvalid


def reasons(
    cells: dict[str, list[object]], wrong: list[str | None] | None = None, **settings: object
) -> list[str | None]:
    table = pl.DataFrame(cells)
    frame = Frame(pl.arange(len(table), eager=True), table, pl.Series(wrong or [None] * len(table), dtype=pl.String))
    return wrong_with(frame, TableData(path="a.csv", **settings)).to_list()


def test_a_cell_must_be_a_finite_number():
    found = reasons({"a": ["1", "-2.5e3", "x", None, "nan", "inf", "1e39", " "]}, inputs=("a",))
    assert found == [
        None,
        None,
        "'a' is no number: 'x'",
        "'a' is missing",
        "'a' is no finite number: 'nan'",
        "'a' is no finite number: 'inf'",
        "'a' is no finite number: '1e39'",
        "'a' is no number: ' '",
    ]


def test_what_is_wrong_with_the_row_is_told_before_its_cells_and_the_first_cell_before_the_others():
    found = reasons({"a": ["x", "x"], "b": [None, None]}, ["is no JSON", None], inputs=("a",), targets=("b",))
    assert found == ["is no JSON", "'b' is missing"]


def test_a_label_must_be_one_of_the_classes_and_a_part_one_of_three():
    cells = {"a": ["1"] * 3, "b": ["calm", "x\ny", "calm"], "part": ["train", "test", "training"]}
    found = reasons(cells, inputs=("a",), targets=("b",), classes=("calm", "storm"), split="part")
    assert found == [None, "'b' is none of calm, storm: 'x y'", "'part' is none of train, validation, test: 'training'"]


@pytest.mark.parametrize("column", ["sequence", "time", "split"])
def test_the_columns_that_place_a_row_must_be_there(column):
    settings = {"sequence": ("where",)} if column == "sequence" else {column: "where"}
    assert reasons({"a": ["1"], "where": [None]}, inputs=("a",), **settings) == ["'where' is missing"]


def test_long_cells_are_cut():
    assert reasons({"a": ["x" * 1000]}, inputs=("a",)) == [f"'a' is no number: '{'x' * 40}'"]


def test_typed_columns_are_numbers_as_they_are():
    assert reasons({"a": [1, None], "b": [True, False]}, inputs=("a", "b")) == [None, "'a' is missing"]


@pytest.mark.parametrize("value", [[1.0], datetime.datetime(2026, 1, 1)])
def test_a_column_that_has_no_numbers_by_its_type_is_refused(value):
    with pytest.raises(DataInvalid, match=r"column 'a' of 'a\.csv' is of type .*; numbers are expected"):
        reasons({"a": [value]}, inputs=("a",))
