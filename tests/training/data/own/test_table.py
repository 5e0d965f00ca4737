import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.data.own.memory import run_measured
from training.data.own.settings import TableData
from training.data.own.table import open_table
from training.errors import DataInvalid

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def write(path, rows: list[dict[str, object]]):
    """Write rows as the kind of file that the name says."""
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        case ".csv":
            pl.DataFrame(rows).write_csv(path)
        case ".parquet":
            pl.DataFrame(rows).write_parquet(path)
    return str(path)


@settings(max_examples=30)
@given(
    sequences=st.dictionaries(
        st.text('ab," é', min_size=1, max_size=4),
        st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=5),
        min_size=8,
    ),
    suffix=st.sampled_from([".csv", ".jsonl", ".parquet"]),
)
def test_every_sequence_that_was_written_is_in_just_one_part_with_its_values(sequences, suffix, tmp_path_factory):
    rows = [{"id": key, "t": t, "a": a, "b": b} for key, values in sequences.items() for t, (a, b) in enumerate(values)]
    path = write(tmp_path_factory.mktemp("table") / f"a{suffix}", rows)
    data = TableData(path=path, inputs=("a", "t"), targets=("b",), sequence=("id",), time="t")
    table = open_table(data)
    parts = [list(part) for part in (table.parts.train, table.parts.validation, table.parts.test)]
    assert list(map(len, parts)) == [table.counts.sequences[part] for part in ("train", "validation", "test")]
    found = sorted((one.inputs[:, 0].tolist(), one.targets[:, 0].tolist()) for part in parts for one in part)
    expected = sorted(([a for a, _ in values], [b for _, b in values]) for values in sequences.values())
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, rtol=1e-6, atol=0)
    assert table.counts.rows == len(rows)


def rows_of(*machines: str, steps: int = 3) -> list[dict[str, object]]:
    return [
        {"machine": machine, "at": step, "speed": step / 2, "state": "calm", "part": "train"}
        for machine in machines
        for step in range(steps)
    ]


@pytest.mark.parametrize(("suffix", "where"), [(".csv", "line 5"), (".jsonl", "line 4"), (".parquet", "row 4")])
def test_a_bad_row_is_told_with_file_and_place_and_how_many_there_are(tmp_path, suffix, where):
    rows = rows_of("a", "b")
    rows[3]["speed"] = rows[5]["speed"] = None
    path = write(tmp_path / f"a{suffix}", rows)
    with pytest.raises(DataInvalid) as caught:
        open_table(TableData(path=path, inputs=("speed",), sequence=("machine",)))
    assert str(caught.value) == (
        f"'{path}' {where}: 'speed' is missing; 2 of 6 rows cannot be used: "
        "mend them, or leave them out with `skip_bad_rows = true`"
    )


def test_bad_rows_are_skipped_where_that_is_asked_for_and_it_says_how_many(tmp_path):
    rows = rows_of("a", "b", steps=4)
    rows[1]["speed"], rows[6]["at"] = "fast", 0
    for row in rows:
        row["speed"] = str(row["speed"])
    path = write(tmp_path / "a.csv", rows)
    data = TableData(path=path, inputs=("speed",), sequence=("machine",), time="at", split="part", skip_bad_rows=True)
    table = open_table(data)
    assert table.counts.note == f"2 rows were skipped, the first is '{path}' line 3: 'speed' is no number: 'fast'"
    assert [one.inputs[:, 0].tolist() for one in table.parts.train] == [[0, 1], [0, 0.5]]
    assert [one.targets[:, 0].tolist() for one in table.parts.train] == [[1, 1.5], [0.5, 1.5]]


def test_interleaved_sequences_are_refused_with_what_to_do(tmp_path):
    path = write(tmp_path / "a.csv", rows_of("a", "b", "a"))
    with pytest.raises(DataInvalid, match=r"line 8: goes on with a sequence after others began; sort the file"):
        open_table(TableData(path=path, inputs=("speed",), sequence=("machine",)))


def test_a_table_of_labels_gives_classes_by_row_or_by_sequence(tmp_path):
    rows = rows_of("a")
    rows[-1]["state"] = "storm"
    path = write(tmp_path / "a.parquet", rows)
    columns = {
        "path": path,
        "inputs": ("speed",),
        "targets": ("state",),
        "classes": ("calm", "storm"),
        "split": "part",
    }
    (by_row,) = open_table(TableData(**columns)).parts.train
    assert by_row.targets.tolist() == [0, 0, 1]
    assert by_row.targets.dtype == np.int64
    (whole,) = open_table(TableData(**columns, per_sequence=True)).parts.train
    assert whole.targets.shape == ()
    assert whole.targets == 1


def test_a_file_that_is_one_sequence_is_cut_in_order(tmp_path):
    path = write(tmp_path / "a.csv", rows_of("a", steps=20))
    table = open_table(TableData(path=path, inputs=("at",), targets=("at",)))
    found = [
        [int(step) for one in part for step in one.inputs[:, 0]]
        for part in (table.parts.train, table.parts.validation, table.parts.test)
    ]
    assert found == [list(range(16)), [16, 17], [18, 19]]
    assert table.parts.rule == "in order: 8 tenths, 1 tenth, 1 tenth"


def test_sequences_of_one_row_without_a_next_one_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "a.csv", [*rows_of("a"), *rows_of("b", "c", steps=1)])
    table = open_table(TableData(path=path, inputs=("speed",), sequence=("machine",), split="part"))
    assert table.counts.sequences["train"] == len(list(table.parts.train)) == 1
    assert table.counts.note == f"2 sequences of '{path}' are left out: one row has no next one"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "", "has nothing to train on$"),
        ("a.csv", "speed\n", "has nothing to train on$"),
        (
            "a.csv",
            "speed\nx\n",
            r"has nothing to train on; 1 rows were skipped, the first is .*line 2: 'speed' is no number",
        ),
        ("a.txt", "speed\n1\n", r"the name of a table ends in \.csv, \.jsonl, \.ndjson or \.parquet"),
        ("gone.csv", None, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_trained_on_is_a_line(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataInvalid, match=sentence):
        open_table(TableData(path=str(tmp_path / name), inputs=("speed",), skip_bad_rows=True))


READ = """
import sys
from training.data.own.settings import TableData
from training.data.own.table import open_table

table = open_table(TableData(path=sys.argv[1], inputs=("a", "b"), longest=1000))
sys.stdout.write(str(sum(len(one.inputs) for one in table.parts.train)))
"""


def test_a_table_larger_than_what_is_read_at_a_time_takes_no_more_memory(tmp_path):
    random = np.random.default_rng(0)
    block = pl.DataFrame({"a": random.random(100_000), "b": random.random(100_000)}).write_csv(include_header=False)
    peaks = []
    for blocks in (3, 15):
        path = tmp_path / f"{blocks}.csv"
        path.write_text("a,b\n" + block * blocks)
        said, peak = run_measured(READ, path)
        assert int(said) == blocks * 100_000 * 8 // 10 - 1
        peaks.append(peak)
    # As numbers alone twelve blocks are 18 MB, as text 45.
    assert peaks[1] - peaks[0] < 16
