from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rpc.unwritten import Unwritten, grown
from server.sampling import Drawn

SEATS = 5
MOVES = st.lists(
    st.one_of(st.lists(st.integers(0, SEATS - 1), unique=True, min_size=1), st.integers(0, SEATS - 1)), max_size=40
)


def drawn(values):
    flags = np.zeros(len(values), np.bool_)
    return Drawn(np.array(values), -np.array(values, np.float64).reshape(len(values), -1)[:, 0], flags, flags)


@given(MOVES)
def test_a_seat_gives_what_it_was_given_since_it_was_last_asked(moves):
    unwritten, kept, number = Unwritten(), defaultdict(list), 0
    unwritten.reserve(2)
    unwritten.reserve(SEATS)
    unwritten.add(np.arange(SEATS), drawn([7] * SEATS), np.zeros(SEATS, np.int64))
    for seat in range(SEATS):
        unwritten.take(seat)
    for move in moves:
        if isinstance(move, list):
            values = [number + seat for seat in move]
            unwritten.add(np.array(move), drawn(values), np.array(values) * 2)
            for seat, value in zip(move, values, strict=True):
                kept[seat].append(value)
            number += 100
            continue
        steps, had = unwritten.take(move), kept.pop(move, [])
        assert steps.values.tolist() == had
        assert steps.log_probs.tolist() == [-value for value in had]
        assert not had or steps.position == had[-1] * 2
    assert unwritten.counts.tolist() == [len(kept[seat]) for seat in range(SEATS)]


def test_what_was_taken_stays_as_it_was():
    unwritten = Unwritten()
    unwritten.reserve(1)
    seat = np.zeros(1, np.intp)
    unwritten.add(seat, drawn([1]), np.array([1]))
    steps = unwritten.take(0)
    unwritten.add(seat, drawn([2]), np.array([2]))
    assert (steps.values.tolist(), steps.position) == ([1], 1)


def test_values_of_any_shape_are_kept():
    unwritten = Unwritten()
    unwritten.reserve(1)
    for number in range(3):
        unwritten.add(np.zeros(1, np.intp), drawn([[[number, -number]]]), np.array([number]))
    assert unwritten.take(0).values.tolist() == [[[0, 0]], [[1, -1]], [[2, -2]]]


@pytest.mark.parametrize("sizes", [(4,), (3, 5)])
def test_a_table_grows_by_zeros(sizes):
    table = np.arange(6).reshape(2, 3)
    larger = grown(table, *sizes)
    assert larger.shape == (*sizes, 3)[:2]
    assert larger[:2, :3].tolist() == table.tolist()
    assert larger.sum() == table.sum()
