import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.own import lines
from training.data.own.jsonl_frames import jsonl_frames

VALUES = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)


def read(path, columns):
    """Give (line, cells, what is wrong) of every row."""
    return [
        row
        for frame in jsonl_frames(path, columns)
        for row in zip(frame.places, frame.cells.rows(), frame.wrong, strict=True)
    ]


def as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["x", "y"]), VALUES), max_size=8),
    chunk_bytes=st.integers(300, 500),
)
def test_every_value_that_was_written_is_read_and_what_is_missing_is_null(rows, chunk_bytes, tmp_path_factory):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK_BYTES", chunk_bytes)
        found = read(path, ["x", "y"])
    assert found == [(line, (as_text(row.get("x")), as_text(row.get("y"))), None) for line, row in enumerate(rows, 1)]


@given(name=NAMES)
def test_a_column_may_have_any_name(name, tmp_path_factory):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_text(json.dumps({name: 5}) + "\n")
    assert read(path, [name]) == [(1, ("5",), None)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{bad", "is no JSON"),
        ('{"a": 1} {"a": 2}', "is no JSON"),
        ("[1]", "is no JSON object"),
        ("null", "is no JSON object"),
        ("7", "is no JSON object"),
    ],
)
def test_a_line_that_is_no_object_is_named_and_its_neighbours_are_read(tmp_path, row, reason):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"a": 1}}\n\n{row}\n{{"a": 2}}\n')
    assert read(path, ["a"]) == [(1, ("1",), None), (3, (None,), reason), (4, ("2",), None)]
