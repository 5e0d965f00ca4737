"""What every store of states promises; a new store is a line in the table."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.device_array import on_host
from models.manifest import TensorSpec
from server.errors import SequencesFull
from server.stores.base import StateStore
from server.stores.device import DeviceRows
from server.stores.memory import MemoryStore
from server.types import UNNUMBERED, Batch, Record, States, Stored

INITIAL = {"a": np.array([1.5, 2.5], np.float32), "b": np.array(7), "c": np.zeros((2, 2), np.float64)}
# A state whose rows are each of their own size.
RAGGED = {"r": np.zeros((0, 2), np.float32)}
OUTPUTS = (TensorSpec("y", "FP32", ("time", 2)), TensorSpec("z", "INT64", ("time",)), TensorSpec("last", "FP64", (3,)))
CAPACITY = 4
STATE_BYTES = 2 * 4 + 8 + 4 * 8
ANSWER_BYTES = 2 * 4 + 8 + 3 * 8

_MEMORY = partial(MemoryStore, INITIAL | RAGGED, OUTPUTS, capacity=CAPACITY, ragged=RAGGED)
STORES: dict[str, Callable[..., StateStore]] = {
    "memory": _MEMORY,
    "device": partial(_MEMORY, place=partial(DeviceRows, device="cpu")),
}


@pytest.fixture(params=STORES.values(), ids=STORES.keys())
def store(request):
    return request.param()


def states(*values):
    """Rows that tell which value and which state they are; the names are not in the store's order."""
    return {
        "c": np.array([np.full((2, 2), value / 4) for value in values]).reshape(-1, 2, 2),
        "b": np.array([value * 10 for value in values], np.int64),
        "a": np.array([[value, -value] for value in values], np.float32).reshape(-1, 2),
    }


def ragged(*values):
    """Rows as long as their values, of them."""
    return {"r": [np.full((value, 2), value, np.float32) for value in values]}


def answers(lengths, *values):
    """Outputs of rows, padded with what must never be kept."""
    rows, time = len(lengths), max(lengths, default=1)
    y = np.full((rows, time, 2), 7e7, np.float32)
    for row, (length, value) in enumerate(zip(lengths, values, strict=True)):
        y[row, :length] = value
    z = y[..., 0].astype(np.int64)
    return {"y": y, "last": np.array([np.full(3, value / 3) for value in values]).reshape(-1, 3), "z": z}


def commit(store, slots, values, *, lengths=None, steps=None, kept=None, positions=None, digest=5, life=9):
    """Commit a batch in which each row's state and answer tell its value; `steps` are the counted rows."""
    rows = len(slots)
    lengths = lengths or [1] * rows
    batch = Batch(
        slots=np.array(slots, np.intp),
        fresh=np.zeros(rows, np.bool_),
        inputs={},
        lengths=np.array(lengths, np.int64),
        positions=np.array(positions or lengths, np.int64),
        numbered=None if steps is None else np.array(steps, np.bool_),
        digests=np.full(rows, digest, np.uint64),
        lives=np.full(rows, life, np.uint64),
    )
    rows_kept = np.arange(rows) if kept is None else np.array(kept, np.intp)
    store.commit(batch, answers(lengths, *values), States(states(*values), ragged(*values)), rows_kept)


def gather(store, slots, fresh=None):
    return {name: on_host(rows) for name, rows in whole(store, slots, fresh).fixed.items()}


def whole(store, slots, fresh=None):
    return store.gather(np.array(slots, np.intp), np.array(fresh or [False] * len(slots), np.bool_))


def ragged_bytes(*values):
    return sum(value * 2 * 4 for value in values)


def assert_stored(stored: Stored, length: int, position: int, value: float) -> None:
    expected = answers([length], value)
    assert stored.position == position
    assert stored.outputs.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(stored.outputs[name], array[0])
        assert stored.outputs[name].dtype == array.dtype


def test_what_is_committed_is_gathered_row_by_row_and_name_by_name(store):
    slots = store.allocate(3)
    commit(store, slots, [1, 2, 3])
    rows = gather(store, slots[::-1])
    assert rows.keys() == INITIAL.keys()
    for name, expected in states(3, 2, 1).items():
        np.testing.assert_array_equal(rows[name], expected)
        assert rows[name].dtype == INITIAL[name].dtype


def test_fresh_rows_are_the_initial_state_whatever_the_slot_held(store):
    slots = store.allocate(2)
    commit(store, slots, [1, 2])
    rows = gather(store, slots, [False, True])
    for name, initial in INITIAL.items():
        np.testing.assert_array_equal(rows[name][0], states(1)[name][0])
        np.testing.assert_array_equal(rows[name][1], initial)


def test_rows_without_a_slot_are_gathered_as_the_initial_state(store):
    [slot] = store.allocate(1)
    commit(store, [slot], [1])
    rows = gather(store, [-1, slot], [True, False])
    np.testing.assert_array_equal(rows["a"], [INITIAL["a"], states(1)["a"][0]])


def test_gathering_a_fresh_row_does_not_change_what_is_kept(store):
    [slot] = store.allocate(1)
    commit(store, [slot], [5])
    gather(store, [slot], [True])
    np.testing.assert_array_equal(gather(store, [slot])["a"], states(5)["a"])


def test_what_was_gathered_is_a_copy(store):
    [slot] = store.allocate(1)
    commit(store, [slot], [5])
    whole(store, [slot]).fixed["b"][np.array([0])] = np.array([0])
    assert gather(store, [slot])["b"].tolist() == [50]


def test_a_commit_of_no_rows_changes_nothing(store):
    [slot] = store.allocate(1)
    commit(store, [slot], [5], steps=[True])
    commit(store, [slot], [6], steps=[True], positions=[2], kept=[])
    assert gather(store, [slot])["b"].tolist() == [50]
    assert_stored(store.recall(slot), 1, 1, 5)


def test_only_the_kept_rows_of_a_commit_change(store):
    slots = store.allocate(3)
    commit(store, slots, [1, 2, 3], steps=[True] * 3)
    commit(store, slots, [4, 5, 6], steps=[True] * 3, positions=[2, 2, 2], kept=[0, 2])
    assert gather(store, slots)["b"].tolist() == [40, 20, 60]
    for slot, position, value in zip(slots, (2, 1, 2), (4, 2, 6), strict=True):
        assert store.records[slot].position == position
        assert_stored(store.recall(slot), 1, position, value)


def test_rows_without_a_slot_are_not_kept(store):
    [slot] = store.allocate(1)
    commit(store, [-1, slot, -1], [1, 2, 3], kept=[1])
    assert gather(store, [slot])["b"].tolist() == [20]
    others = [other for other in store.allocate(CAPACITY - 1) if other != slot]
    commit(store, others, [7] * len(others))
    assert gather(store, [slot])["b"].tolist() == [20]


def test_a_record_tells_the_last_request(store):
    first, second = store.allocate(2)
    commit(store, [first, second], [1, 2], lengths=[3, 1], positions=[7, 4], steps=[True, False], digest=6, life=8)
    assert store.records[first] == Record(position=7, length=3, digest=6, life=8)
    assert store.records[second]._replace(digest=0) == Record(position=4, length=UNNUMBERED, digest=0, life=8)
    commit(store, [first], [3], positions=[8], life=8)
    assert store.records[first].length == UNNUMBERED, "its steps are counted no more"


@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_last_answer_of_a_counted_row_is_recalled_without_its_padding(store, length):
    slots = store.allocate(2)
    commit(store, slots, [1, 2], lengths=[length, 5], positions=[10, 20], steps=[True, True])
    assert_stored(store.recall(slots[0]), length, 10, 1)
    assert_stored(store.recall(slots[1]), 5, 20, 2)


def test_what_was_recalled_stays_as_it_was(store):
    [slot] = store.allocate(1)
    commit(store, [slot], [1], steps=[True])
    short = store.recall(slot)
    commit(store, [slot], [2], lengths=[3], positions=[4], steps=[True])
    long = store.recall(slot)
    commit(store, [slot], [3], lengths=[3], positions=[7], steps=[True])
    assert_stored(short, 1, 1, 1)
    assert_stored(long, 3, 4, 2)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), max_size=12))
def test_the_last_answer_is_that_of_the_last_counted_request_whatever_came_before(requests):
    for make in STORES.values():
        store, position, last = make(), 0, None
        [slot] = store.allocate(1)
        for value, (length, numbered, kept) in enumerate(requests):
            rows = [0] if kept else []
            positions = [position + length]
            commit(store, [slot], [value], lengths=[length], positions=positions, steps=[numbered], kept=rows)
            if kept:
                position += length
                last = (length, position, value) if numbered else None
            assert (store.records[slot].length != UNNUMBERED) or last is None
            if last:
                assert_stored(store.recall(slot), *last)
        store.release([slot])
        assert (store.live, store.used_bytes) == (0, 0)


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


def test_bytes_are_those_of_states_and_answers_and_go_with_their_sequence(store):
    assert store.slot_bytes == STATE_BYTES + ANSWER_BYTES
    assert store.used_bytes == 0
    slots = store.allocate(2)
    assert store.used_bytes == 2 * store.slot_bytes
    commit(store, slots, [1, 2], lengths=[1, 5], steps=[True, True])
    long = 5 * (2 * 4 + 8) + 3 * 8 + ragged_bytes(1, 2)
    assert store.used_bytes == 2 * store.slot_bytes + long
    commit(store, slots, [1, 2], lengths=[1, 5], steps=[True, True])
    assert store.used_bytes == 2 * store.slot_bytes + long, "the new answer stands in place of the old one"
    store.release(slots[1:])
    assert store.used_bytes == store.slot_bytes + ragged_bytes(1)


@pytest.mark.parametrize("next_one", [{"lengths": [1], "steps": [True]}, {"lengths": [5], "steps": [False]}])
def test_a_long_answer_goes_when_another_request_is_done(store, next_one):
    [slot] = store.allocate(1)
    commit(store, [slot], [1], lengths=[5], steps=[True])
    commit(store, [slot], [2], **next_one)
    assert store.used_bytes == store.slot_bytes + ragged_bytes(2)


def test_trimming_leaves_what_lives(store):
    slots = store.allocate(3)
    commit(store, slots, [1, 2, 3], steps=[True] * 3)
    store.release(slots[:1])
    store.trim()
    assert gather(store, slots[1:])["b"].tolist() == [20, 30]
    assert_stored(store.recall(slots[2]), 1, 1, 3)
    assert store.live == 2


def test_a_state_with_a_free_axis_is_kept_by_row_in_its_own_size(store):
    slots = store.allocate(3)
    commit(store, slots, [3, 0, 2])
    commit(store, slots[:1], [1])
    rows = whole(store, [slots[2], -1, slots[0], slots[1]], [False, True, False, True]).ragged
    assert [array.tolist() for array in rows["r"]] == [[[2, 2]] * 2, [], [[1, 1]], []]
    assert store.used_bytes == 3 * store.slot_bytes + ragged_bytes(1, 0, 2)


def test_the_sizes_of_a_state_with_a_free_axis_are_told(store):
    slots = store.allocate(2)
    assert store.sizes(slots[0]) == {}
    commit(store, slots, [3, 0])
    assert [store.sizes(slot) for slot in slots] == [{"r": (3, 2)}, {"r": (0, 2)}]


def test_only_the_kept_rows_of_a_state_with_a_free_axis_change(store):
    slots = store.allocate(2)
    commit(store, slots, [1, 2])
    commit(store, slots, [3, 4], kept=[1])
    assert [len(array) for array in whole(store, slots).ragged["r"]] == [1, 4]


@pytest.mark.parametrize("make", STORES.values(), ids=STORES.keys())
def test_rows_that_would_grow_past_the_bytes_for_all_are_told_and_those_that_do_not_grow_are_not(make):
    most = 2 * (STATE_BYTES + ANSWER_BYTES) + ragged_bytes(7)
    store = make(left=lambda store: most - store.used_bytes)
    slots = store.allocate(2)
    commit(store, slots, [2, 3])
    grown = np.array([*slots, -1], np.intp)
    assert store.without_room(grown, States({}, ragged(4, 3, 9))) is None
    assert store.without_room(grown, States({}, ragged(4, 4, 9))).tolist() == [False, True, False]
    assert store.without_room(grown, States({}, ragged(5, 1, 9))).tolist() == [True, False, False]


def test_a_slot_may_go_on_from_the_state_of_another_which_stays_as_it_was(store):
    home, source = store.allocate(2)
    commit(store, [home], [1], steps=[True], positions=[4])
    commit(store, [source], [3], positions=[9])
    assert store.take_over(home, source, {"beams": np.arange(6)}) == 9
    rows = whole(store, [home, source])
    assert on_host(rows.fixed["b"]).tolist() == [30, 30]
    assert [len(array) for array in rows.ragged["r"]] == [3, 3]
    assert store.records[home] == Record(position=9, length=6, digest=5, life=9)
    stored = store.recall(home)
    assert (stored.position, stored.outputs["beams"].tolist()) == (9, [0, 1, 2, 3, 4, 5])
    before = store.used_bytes
    commit(store, [home], [2])
    assert (store.used_bytes, gather(store, [source])["b"].tolist()) == (
        before - 48 + ragged_bytes(2) - ragged_bytes(3),
        [30],
    )


def test_a_slot_whose_steps_are_not_counted_keeps_no_answer_as_it_goes_on_from_another(store):
    home, source = store.allocate(2)
    commit(store, [home, source], [1, 3], positions=[4, 9])
    before = store.used_bytes - ragged_bytes(1)
    assert store.take_over(home, source, {"beams": np.arange(6)}) == 9
    assert (store.records[home].length, store.used_bytes) == (UNNUMBERED, before + ragged_bytes(3))


def test_a_request_of_no_steps_has_no_answer_to_be_recalled(store):
    [slot] = store.allocate(1)
    commit(store, [slot], [7], lengths=[1], steps=[True])
    batch = Batch(
        slots=np.array([slot]),
        fresh=np.array([True]),
        inputs={},
        lengths=np.array([0]),
        positions=np.array([0]),
        numbered=np.array([True]),
        digests=np.array([5], np.uint64),
        lives=np.array([9], np.uint64),
        part="start",
        time=0,
    )
    store.commit(batch, {}, States(states(8), ragged(1)), np.array([0]))
    assert store.recall(slot) == Stored({}, 0)
    assert gather(store, [slot])["b"].tolist() == [80]
