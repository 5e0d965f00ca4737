import pytest

from training.data.own.counts import count
from training.data.own.settings import TableData
from training.errors import DataInvalid


def table(path, content: str, **settings: object) -> TableData:
    path.write_text(content)
    return TableData(path=str(path), inputs=("x",), split="part", **settings)


def test_rows_and_sequences_are_counted_by_part(tmp_path):
    rows = ["a,train,1", "a,train,2", "b,train,1", "b,train,2", "c,test,1", "c,test,2"]
    counts = count(table(tmp_path / "a.csv", "\n".join(["id,part,x", *rows]), sequence=("id",)))
    assert counts.rows == 6
    assert counts.sequences == {"train": 2, "test": 1}
    assert counts.note == ""


def test_the_note_has_all_that_was_left_out(tmp_path):
    rows = ["a,train,1", "a,train,2", "b,test,1", "c,train,x"]
    data = table(tmp_path / "a.csv", "\n".join(["id,part,x", *rows]), sequence=("id",), skip_bad_rows=True)
    assert count(data).note == (
        f"1 rows were skipped, the first is '{data.path}' line 5: 'x' is no number: 'x'; "
        f"1 sequences of '{data.path}' are left out: one row has no next one"
    )


def test_a_table_without_a_sequence_to_train_on_is_refused(tmp_path):
    with pytest.raises(DataInvalid, match=r"has nothing to train on$"):
        count(table(tmp_path / "a.csv", "part,x\ntest,1\ntest,2\n"))
