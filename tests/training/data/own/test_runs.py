import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from training.data.own.frame import Frame
from training.data.own.runs import BETWEEN, Bad, Runs
from training.data.own.settings import TableData


def frame(first: int = 1, **cells: list[object]) -> Frame:
    table = pl.DataFrame(cells)
    places = pl.arange(first, first + len(table), eager=True)
    return Frame(places, table, pl.Series([None] * len(table), dtype=pl.String))


def test_rows_of_one_key_in_a_row_are_a_run_with_their_numbers():
    data = TableData(path="a", inputs=("x", "y"), targets=("y",), sequence=("id", "day"))
    first, second = Runs(data).of(frame(id=["a", "a", "a"], day=[1, 1, 2], x=["1", "2", "3"], y=[4, 5, 6]))
    assert (first.key, second.key) == (f"a{BETWEEN}1", f"a{BETWEEN}2")
    assert first.inputs.tolist() == [[1, 4], [2, 5]]
    assert first.targets.tolist() == [[4], [5]]
    assert first.inputs.dtype == np.float32
    assert len(second) == 1


def test_the_column_of_the_split_parts_sequences_too():
    data = TableData(path="a", inputs=("x",), split="part")
    runs = Runs(data).of(frame(part=["train", "train", "test"], x=[1, 2, 3]))
    assert [(run.key, len(run)) for run in runs] == [("train", 2), ("test", 1)]


def test_bad_rows_are_left_out_and_the_first_of_all_checks_is_kept():
    data = TableData(path="a", inputs=("x",), time="t")
    runs = Runs(data)
    (run,) = runs.of(frame(first=10, t=[1, 0, 2, 3], x=["1", "2", "x", "4"]))
    assert run.inputs.tolist() == [[1], [4]]
    assert runs.bad == Bad(2, 11, "has the time 0, which is not after 1 of the row before")


def test_a_frame_of_bad_rows_has_no_runs():
    data = TableData(path="a", inputs=("x",), targets=("x",), classes=("calm",))
    assert list(Runs(data).of(frame(x=["storm"]))) == []


@given(keys=st.lists(st.sampled_from("ab"), min_size=1, max_size=12), cut=st.integers(0, 12))
def test_frames_may_end_within_a_sequence(keys, cut):
    keys.sort()
    data = TableData(path="a", inputs=("x",), sequence=("id",))
    runs, found = Runs(data), []
    for part in (range(len(keys))[:cut], range(len(keys))[cut:]):
        if part:
            found += runs.of(frame(part[0] + 1, id=[keys[i] for i in part], x=list(part)))
    assert [(run.key, row) for run in found for row in run.inputs[:, 0]] == list(
        zip(keys, range(len(keys)), strict=True)
    )
    assert runs.bad.count == 0
