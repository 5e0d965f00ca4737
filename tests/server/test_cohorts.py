import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cohorts import one_chunk, together
from server.sampling import Draws, Sampling
from tests.server.fakes import chunk


class Joins:
    """A cohort that keeps what it was asked to join."""

    def __init__(self) -> None:
        self.asked = []

    def join(self, chunks):
        self.asked.append([found.rows for found in chunks])
        return chunks[0]


def going(*numbers, cohort=None, **fields):
    """A chunk of one step of each of some generations, told by their numbers."""
    return chunk(
        *[[number] for number in numbers],
        ids=[f"s{number}" for number in numbers],
        place=np.array(numbers),
        digests=np.array(numbers, np.uint64),
        before=np.array(numbers),
        draws=Draws.joined([Draws.of(Sampling(9, top_k=number), number, number) for number in numbers]),
        cohort=cohort,
        **{"plain": True, **fields},
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(9, 20))
def test_chunks_of_a_cohort_are_joined_in_order_up_to_the_rows_of_a_batch(sizes, most):
    cohort = Joins()
    chunks = [going(*range(size), cohort=cohort) for size in sizes]
    assert len(list(together(chunks, most))) == len(cohort.asked)
    assert [size for some in cohort.asked for size in some] == sizes
    assert all(sum(some) <= most for some in cohort.asked)
    assert all(sum(one) + two[0] > most for one, two in zip(cohort.asked, cohort.asked[1:], strict=False))


def test_chunks_of_no_cohort_and_of_other_cohorts_stay_apart():
    one, other = Joins(), Joins()
    alone = chunk([1])
    found = list(together([going(1, cohort=one), alone, going(2, cohort=other), going(3, cohort=one)], 9))
    assert alone in found
    assert (len(found), one.asked, other.asked) == (3, [[1, 1]], [[1]])


@pytest.mark.parametrize("counted", [False, True])
def test_each_row_of_one_chunk_has_what_it_had_in_its_own(counted):
    chunks = [going(3, 1), going(4, plain=not counted, held=True), going(2)]
    whole = one_chunk(chunks)
    assert (whole.rows, whole.time, whole.plain, whole.held) == (4, 1, not counted, True)
    back = [whole.cut_out(np.array(rows)) for rows in ([0, 1], [2], [3])]
    for had, has in zip(chunks, back, strict=True):
        for name in ("ids", "lengths", "start", "end", "steps", "lives", "place", "digests", "before"):
            assert list(getattr(had, name)) == list(getattr(has, name)), name
        for column, of in zip(had.draws, has.draws, strict=True):
            assert column.tolist() == of.tolist()
        assert had.inputs["x"].tolist() == has.inputs["x"].tolist()


def test_one_chunk_alone_is_itself_and_a_chunk_gives_up_rows_of_its_own():
    alone = going(5, 6, 7)
    assert one_chunk([alone]) is alone
    taken = alone.take_out(np.array([1]))
    assert (taken.ids, alone.ids) == (["s6"], ["s5", "s7"])
    assert (taken.place.tolist(), alone.place.tolist()) == ([6], [5, 7])
    assert (taken.rows, alone.rows) == (1, 2)
