import resource
from pathlib import Path

import numpy as np
import pytest

from server.errors import SequencesFull
from server.stores.memory import MemoryStore

INITIAL = {"a": np.array([1.5, 2.5], np.float32), "b": np.array(7), "c": np.zeros((2, 2), np.float64)}


@pytest.fixture
def store():
    return MemoryStore(INITIAL, capacity=4)


def gather(store, slots, fresh=None):
    return store.gather(np.array(slots, np.intp), np.array(fresh or [False] * len(slots)))


def states(*values):
    """Rows that tell which value and which state they are; the names are not in the store's order."""
    return {
        "c": np.array([np.full((2, 2), value / 4) for value in values]),
        "b": np.array([value * 10 for value in values]),
        "a": np.array([[value, -value] for value in values], np.float32),
    }


def test_what_is_committed_is_gathered_row_by_row_and_name_by_name(store):
    slots = store.allocate(3)
    store.commit(np.array(slots), states(1, 2, 3))
    rows = gather(store, slots[::-1])
    assert rows.keys() == INITIAL.keys()
    for name, expected in states(3, 2, 1).items():
        np.testing.assert_array_equal(rows[name], expected)
        assert rows[name].dtype == INITIAL[name].dtype


def test_fresh_rows_are_the_initial_state_whatever_the_slot_held(store):
    slots = store.allocate(2)
    store.commit(np.array(slots), states(1, 2))
    rows = gather(store, slots, [False, True])
    for name, initial in INITIAL.items():
        np.testing.assert_array_equal(rows[name][0], states(1)[name][0])
        np.testing.assert_array_equal(rows[name][1], initial)


def test_gathering_a_fresh_row_does_not_change_what_is_kept(store):
    [slot] = store.allocate(1)
    store.commit(np.array([slot]), states(5))
    gather(store, [slot], [True])
    np.testing.assert_array_equal(gather(store, [slot])["a"], states(5)["a"])


def test_what_was_gathered_is_a_copy(store):
    [slot] = store.allocate(1)
    store.commit(np.array([slot]), states(5))
    gather(store, [slot])["b"][:] = 0
    assert gather(store, [slot])["b"].tolist() == [50]


def test_a_commit_of_no_rows_changes_nothing(store):
    [slot] = store.allocate(1)
    store.commit(np.array([slot]), states(5))
    store.commit(np.array([], np.intp), {name: state[:0] for name, state in states(1).items()})
    assert gather(store, [slot])["b"].tolist() == [50]


def test_slots_in_use_are_never_given_twice(store):
    first = store.allocate(3)
    store.release([first[1]])
    second = store.allocate(2)
    assert len({first[0], first[2], *second}) == 4
    assert store.live == 4


def test_slots_are_given_all_or_none(store):
    store.allocate(3)
    with pytest.raises(SequencesFull, match=r"3 sequences are live and 4 are the most"):
        store.allocate(2)
    assert store.live == 3
    assert len(store.allocate(1)) == 1


def test_a_slot_given_back_makes_room(store):
    slots = store.allocate(4)
    with pytest.raises(SequencesFull):
        store.allocate(1)
    store.release(slots[:1])
    assert store.allocate(1) == slots[:1]


def test_the_bytes_of_a_slot_are_those_of_all_its_states(store):
    assert store.slot_bytes == 2 * 4 + 8 + 4 * 8


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_rows_cost_no_memory_until_they_are_written():
    before = resident_bytes()
    store = MemoryStore({"a": np.zeros(2**20, np.float32)}, capacity=512)
    store.commit(np.array(store.allocate(1)), {"a": np.ones((1, 2**20), np.float32)})
    assert resident_bytes() - before < 512 * 2**20, "the reserve is 2 GiB"
