import numpy as np
import polars as pl
import pytest

from tests.training.data.own.memory import run_measured
from training.data.own import parquet_frames as module
from training.data.own.parquet_frames import parquet_frames
from training.errors import DataInvalid


def test_rows_come_in_order_with_their_numbers_whatever_the_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 7)
    table = pl.DataFrame({"a": range(100), "b": ["x"] * 100})
    table.write_parquet(tmp_path / "a.parquet", row_group_size=30)
    frames = list(parquet_frames(tmp_path / "a.parquet", ["a"]))
    assert len(frames) > 3
    assert [place for frame in frames for place in frame.places] == list(range(1, 101))
    assert [value for frame in frames for (value,) in frame.cells.rows()] == list(range(100))
    assert all(frame.wrong.null_count() == len(frame.places) for frame in frames)


def test_a_column_that_is_not_there_is_named(tmp_path):
    pl.DataFrame({"a": [1], "b": [2]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataInvalid, match="has no column 'x'; there is a, b"):
        list(parquet_frames(tmp_path / "a.parquet", ["a", "x"]))


@pytest.mark.parametrize("content", [None, b"", b"no parquet at all", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_no_parquet_is_a_line(tmp_path, content):
    if content is not None:
        (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataInvalid, match=r"a\.parquet' cannot be read: \S") as caught:
        list(parquet_frames(tmp_path / "a.parquet", ["a"]))
    assert "\n" not in str(caught.value)


READ = """
import sys
from pathlib import Path
from training.data.own.parquet_frames import parquet_frames

sys.stdout.write(str(sum(len(frame.places) for frame in parquet_frames(Path(sys.argv[1]), ["a", "b"]))))
"""


def test_a_file_larger_than_what_is_read_at_a_time_takes_no_more_memory(tmp_path):
    random = np.random.default_rng(0)
    peaks = []
    # The first is already more than all that is read ahead.
    for rows in (2_000_000, 8_000_000):
        path = tmp_path / f"{rows}.parquet"
        pl.DataFrame({"a": random.random(rows), "b": random.random(rows)}).write_parquet(path, row_group_size=100_000)
        said, peak = run_measured(READ, path)
        assert int(said) == rows
        peaks.append(peak)
    # Six million rows of two numbers are 96 MB.
    assert peaks[1] - peaks[0] < 40
