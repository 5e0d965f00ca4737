import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.training.data.own.memory import run_measured
from training.data.own.mapped import mapped
from training.data.series import Series
from training.errors import DataInvalid

SERIES = {
    "numbers for each step": Series(np.ones((5, 3), np.float32), np.full((5, 1), 2, np.float32)),
    "a class for each step": Series(np.ones((3, 1), np.float32), np.arange(3)),
    "a class": Series(np.ones((3, 1), np.float32), np.array(4)),
    "numbers for the whole": Series(np.ones((1, 1), np.float32), np.ones(3, np.float32)),
}


def test_sequences_are_as_they_were_written():
    given = [*SERIES.values(), *SERIES.values()]
    found = mapped(iter(given))
    assert len(found) == len(given)
    for one, other in zip(found, given, strict=True):
        assert (one.inputs.dtype, one.targets.dtype) == (other.inputs.dtype, other.targets.dtype)
        assert one.is_stepwise == other.is_stepwise
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets, other.targets)


def test_no_sequences_are_none():
    assert mapped([]) == []


def test_a_folder_without_room_is_told_with_what_to_do(monkeypatch):
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        with pytest.raises(DataInvalid, match="cannot keep the sequences: No space left on device; TMPDIR names"):
            mapped(SERIES.values())


def test_what_reading_meets_is_not_blamed_on_the_folder():
    def unreadable():
        yield SERIES["a class"]
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        mapped(unreadable())


OPEN = """
import sys
from training.data.opening import open_data
from training.data.own.settings import TableData

data = open_data(TableData(path=sys.argv[1], inputs=("a", "b", "c", "d"), longest=1000), shortest=1)
sys.stdout.write(str(sum(len(one.inputs) for one in data.parts.train)))
"""


def test_data_that_training_opened_takes_no_memory_before_it_is_read(tmp_path):
    block = pl.DataFrame(np.random.default_rng(0).random((100_000, 4), np.float32), list("abcd"))
    peaks = []
    for blocks in (10, 40):
        path = tmp_path / f"{blocks}.parquet"
        pl.concat([block] * blocks, rechunk=False).write_parquet(path, row_group_size=100_000)
        said, peak = run_measured(OPEN, path)
        assert int(said) == blocks * 100_000 * 8 // 10 - 1
        peaks.append(peak)
    # Inputs and targets of thirty blocks are 96 MB.
    assert peaks[1] - peaks[0] < 24, peaks
