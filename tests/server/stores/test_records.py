import numpy as np

from server.stores.records import Records
from server.types import UNNUMBERED, Batch, Record


def batch(slots, *, positions, lengths, numbered, digest=5, life=9):
    rows = len(slots)
    return Batch(
        slots=np.array(slots, np.intp),
        fresh=np.zeros(rows, np.bool_),
        inputs={},
        lengths=np.array(lengths, np.int64),
        positions=np.array(positions, np.int64),
        numbered=None if numbered is None else np.array(numbered, np.bool_),
        digests=np.full(rows, digest, np.uint64),
        lives=np.full(rows, life, np.uint64),
    )


def test_rows_are_written_to_the_slots_that_they_have():
    records = Records(4)
    written = batch([2, 0, 3], positions=[20, 5, 30], lengths=[2, 5, 3], numbered=[True, False, True])
    records.write(written.of(np.array([0, 1])))
    assert records[2] == Record(20, 2, 5, 9)
    assert records[0]._replace(digest=0) == Record(5, UNNUMBERED, 0, 9)
    assert records[3] == records[1] == Record(0, 0, 0, 0)


def test_a_batch_in_which_nothing_is_counted_leaves_no_step_that_could_come_again():
    records = Records(2)
    records.write(batch([1], positions=[3], lengths=[3], numbered=[True]))
    records.write(batch([1], positions=[4], lengths=[1], numbered=None))
    assert (records[1].position, records[1].length) == (4, UNNUMBERED)


def test_numbers_of_64_bits_are_kept_whole():
    records = Records(1)
    last = 2**64 - 1
    records.write(batch([0], positions=[2**62], lengths=[1], numbered=[True], digest=last, life=last))
    assert records[0] == Record(2**62, 1, last, last)


def test_idle_are_those_who_live_and_were_not_asked_since():
    records = Records(5)
    records.used[[0, 2, 4]] = [10.0, 20.0, 30.0]
    assert records.idle_since(9.0).tolist() == []
    assert records.idle_since(20.0).tolist() == [0, 2]
    assert records.idle_since(99.0).tolist() == [0, 2, 4]
