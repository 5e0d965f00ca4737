import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.own import lines
from training.data.own.csv_frames import csv_frames
from training.errors import DataInvalid

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8)


def read(path, columns, separator=","):
    """Give (line, cells, what is wrong) of every row."""
    return [
        row
        for frame in csv_frames(path, columns, separator)
        for row in zip(frame.places, frame.cells.rows(), frame.wrong, strict=True)
    ]


def write(path, content: str):
    path.write_text(content, encoding="utf-8", newline="")
    return path


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=12),
    separator=st.sampled_from([",", ";", "\t"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    chunk_bytes=st.integers(200, 400),
)
def test_every_cell_that_was_written_is_read(rows, separator, quoting, chunk_bytes, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator, quoting=quoting).writerows([("x", "y", "z"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK_BYTES", chunk_bytes)
        found = read(path, ["z", "x"], separator)
    assert found == [(line, (z or None, x or None), None) for line, (x, _, z) in enumerate(rows, 2)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1", "has 1 cells where the head has 2"),
        ("1,2,3", "has 3 cells where the head has 2"),
        ('1,"2', "has a quote that is not closed, or closed too early"),
        ('1,"2"3', "has a quote that is not closed, or closed too early"),
    ],
)
def test_a_row_that_is_none_is_named_by_its_line_and_its_neighbours_are_read(tmp_path, row, reason):
    found = read(write(tmp_path / "a.csv", f"a,b\n1,2\n{row}\n5,6\n"), ["a", "b"])
    assert [(line, wrong) for line, _, wrong in found] == [(2, None), (3, reason), (4, None)]
    assert found[2][1] == ("5", "6")


def test_an_empty_line_is_no_row_but_keeps_its_number(tmp_path):
    found = read(write(tmp_path / "a.csv", "a,b\n1,2\n\n3,4\n"), ["a"])
    assert [(line, cells) for line, cells, _ in found] == [(2, ("1",)), (4, ("3",))]


def test_where_there_is_one_column_an_empty_line_is_a_missing_value(tmp_path):
    assert read(write(tmp_path / "a.csv", "a\n1\n\n3\n"), ["a"])[1] == (3, (None,), None)


@pytest.mark.parametrize(
    ("head", "sentence"),
    [("a,b", "has no column 'x'; its head is a, b"), ("x,x", "has 2 columns 'x'; its head is x, x")],
)
def test_a_head_that_lacks_a_column_says_what_there_is(tmp_path, head, sentence):
    with pytest.raises(DataInvalid, match=sentence):
        read(write(tmp_path / "a.csv", f"{head}\n1,2\n"), ["x"])


def test_a_head_alone_has_no_rows(tmp_path):
    assert read(write(tmp_path / "a.csv", "a,b\n"), ["a"]) == []
    assert read(write(tmp_path / "a.csv", ""), ["a"]) == []
