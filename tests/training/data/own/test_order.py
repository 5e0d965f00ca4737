import datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from training.data.own.order import Order

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6)), max_size=20)


def reasons(rows, cuts=(), kind=pl.Int64) -> list[str | None]:
    """Give what is wrong with rows (key, time) that come in batches."""
    order, found, start = Order(), [], 0
    for end in [*sorted(cuts), len(rows)]:
        keys, times = ([row[i] for row in rows[start:end]] for i in (0, 1))
        found += order.wrong_with(pl.Series(keys, dtype=pl.String), pl.Series(times, dtype=kind)).to_list()
        start = max(start, end)
    return found


def by_hand(rows) -> list[bool]:
    kept, seen, key, last = [], set(), None, None
    for sequence, time in rows:
        if sequence != key and sequence in seen:
            kept.append(False)
            continue
        if sequence != key:
            key, last = sequence, None
            seen.add(sequence)
        kept.append(last is None or time > last)
        last = time if kept[-1] else last
    return kept


@given(rows=ROWS, cuts=st.sets(st.integers(0, 20)))
def test_rows_of_a_sequence_stand_together_and_later_than_those_before_however_they_are_batched(rows, cuts):
    cuts = {min(cut, len(rows)) for cut in cuts}
    assert [reason is None for reason in reasons(rows, cuts)] == by_hand(rows)


def test_the_reasons_say_what_is_wrong():
    found = reasons([("a", 5), ("a", 5), ("b", 1), ("a", 6)])
    assert found == [
        None,
        "has the time 5, which is not after 5 of the row before",
        None,
        "goes on with a sequence after others began; sort the file by sequence and time",
    ]


def test_numbers_written_as_text_sort_as_numbers():
    assert reasons([("a", "9"), ("a", "10")], kind=pl.String) == [None, None]


def test_other_text_sorts_as_it_stands():
    rows = [("a", "2026-01-09T10:00"), ("a", "2026-01-10T09:00"), ("a", "2026-01-10T09:00")]
    assert [reason is None for reason in reasons(rows, kind=pl.String)] == [True, True, False]


def test_the_first_row_decides_whether_times_are_numbers():
    found = reasons([("a", "1"), ("a", "noon"), ("a", "2"), ("b", "noon"), ("b", "1")], {1}, kind=pl.String)
    wrong = "has a time that is no number, unlike the first"
    assert found == [None, wrong, None, wrong, None]


def test_dates_are_times():
    days = [datetime.date(2026, 1, day) for day in (1, 2, 2)]
    assert [reason is None for reason in reasons([("a", day) for day in days], kind=pl.Date)] == [True, True, False]


def test_without_a_column_of_time_any_order_is_right():
    assert Order().wrong_with(pl.Series(["a", "a"]), None).to_list() == [None, None]
