import polars as pl
import pytest

from training.data.own.frames import frames, place
from training.data.own.settings import TableData
from training.errors import DataInvalid


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".ndjson", ".parquet"])
def test_the_ending_of_the_name_says_the_kind_of_file(tmp_path, suffix):
    path, table = tmp_path / f"a{suffix}", pl.DataFrame({"x": [1, 2]})
    {".csv": table.write_csv, ".parquet": table.write_parquet}.get(suffix, table.write_ndjson)(path)
    (frame,) = frames(TableData(path=str(path), inputs=("x",)))
    assert [str(value) for (value,) in frame.cells.rows()] == ["1", "2"]


def test_a_csv_may_have_another_separator(tmp_path):
    (tmp_path / "a.csv").write_text("x;y\n1;2\n")
    (frame,) = frames(TableData(path=str(tmp_path / "a.csv"), inputs=("y",), separator=";"))
    assert frame.cells.rows() == [("2",)]


def test_another_ending_is_refused():
    with pytest.raises(DataInvalid, match=r"'a\.xls': the name of a table ends in \.csv, "):
        frames(TableData(path="a.xls", inputs=("x",)))


def test_places_are_lines_of_texts_and_rows_of_parquet():
    assert place(TableData(path="a.csv", inputs=("x",)), 7) == "'a.csv' line 7"
    assert place(TableData(path="a.parquet", inputs=("x",)), 7) == "'a.parquet' row 7"
