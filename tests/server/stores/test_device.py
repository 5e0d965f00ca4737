from functools import partial

import numpy as np
import pytest

from models.device_array import DeviceArray
from server.errors import StateFull
from server.stores import device
from server.stores.device import DeviceRows, place_for
from server.stores.memory import MemoryStore
from server.stores.rows import HostRows

INITIAL = {"a": np.array([1.5, 2.5], np.float32), "b": np.array(7)}
ROW_BYTES = 2 * 4 + 8


@pytest.fixture
def blocks(monkeypatch):
    """Let blocks be of three slots; eight slots then are three blocks, the last of two."""
    monkeypatch.setattr(device, "BLOCK_BYTES", 3 * ROW_BYTES)
    return DeviceRows(INITIAL, 8, "cpu")


def states(*values):
    return {
        "a": np.array([[value, -value] for value in values], np.float32),
        "b": np.array([value * 10 for value in values]),
    }


def write(rows, slots, values, place=lambda array: array):
    rows.put(np.array(slots), {name: place(array) for name, array in states(*values).items()})


def read(rows, slots, fresh=()):
    begins = np.isin(np.arange(len(slots)), fresh)
    return rows.take(np.array(slots), begins)["b"].numpy().tolist()


def test_a_model_on_the_cpu_has_its_states_on_the_host_and_one_on_a_card_has_them_there():
    assert place_for("cpu") is HostRows
    there = place_for("cuda:2")
    assert (there.func, there.keywords) == (DeviceRows, {"device": "cuda:2"})


def test_blocks_are_of_as_many_slots_as_have_room_in_them(blocks):
    assert (blocks.block, blocks.row_bytes) == (3, ROW_BYTES)
    assert DeviceRows(INITIAL, 2, "cpu").block == 2
    wide = DeviceRows({"a": np.zeros(1000, np.float32)}, 9, "cpu")
    assert wide.block == 1
    assert DeviceRows({}, 9, "cpu").block == 9


def test_rows_of_many_blocks_are_gathered_in_the_order_asked_for(blocks):
    blocks.reserve(range(8))
    write(blocks, [7, 0, 3, 1, 5], [7, 0, 3, 1, 5])
    assert read(blocks, [5, 0, 7, 3, 1]) == [50, 0, 70, 30, 10]
    assert read(blocks, [5, 3, -1, 0], fresh=[1, 2]) == [50, 7, 7, 0]
    taken = blocks.take(np.array([3]), np.array([False]))
    assert {name: (rows.shape, rows.dtype) for name, rows in taken.items()} == {
        "a": ((1, 2), np.float32),
        "b": ((1,), np.int64),
    }


def test_states_of_a_device_are_written_as_those_of_the_host(blocks):
    blocks.reserve([2, 4])
    write(blocks, [4, 2], [4, 2], lambda array: DeviceArray.of(array, "cpu"))
    assert read(blocks, [2, 4]) == [20, 40]


def test_memory_comes_by_blocks_as_slots_are_taken_and_no_block_moves(blocks):
    assert blocks._blocks == {}
    blocks.reserve([0, 1])
    assert {number: block["a"].shape for number, block in blocks._blocks.items()} == {0: (3, 2)}
    write(blocks, [0, 1], [5, 6])
    first = blocks._blocks[0]["a"].value.data_ptr()
    blocks.reserve([2, 3, 7])
    assert {number: block["a"].shape for number, block in blocks._blocks.items()} == {0: (3, 2), 1: (3, 2), 2: (2, 2)}
    write(blocks, [2, 7], [8, 9])
    assert blocks._blocks[0]["a"].value.data_ptr() == first
    assert read(blocks, [0, 1, 2, 7]) == [50, 60, 80, 90]


def test_a_block_that_was_given_back_is_neither_read_nor_written(blocks):
    blocks.reserve([0, 3])
    write(blocks, [0, 3], [5, 6])
    blocks.forget(1)
    blocks.forget(2)
    write(blocks, [0, 3], [8, 9])
    assert read(blocks, [3, 0]) == [7, 80], "the initial state, not what memory held"


def test_a_row_whose_states_were_written_in_part_is_not_gone_on_from(blocks, monkeypatch):
    blocks.reserve([0, 1, 4])
    write(blocks, [0, 1, 4], [1, 2, 3])
    put = DeviceArray.put

    def fail_at_b(array, *arguments):
        if array.dtype == np.int64:
            raise RuntimeError("the card is gone")
        put(array, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(DeviceArray, "put", fail_at_b)
        with pytest.raises(RuntimeError, match="the card is gone"):
            write(blocks, [0, 4], [8, 9])
    for torn in ([0], [4], [1, 4]):
        with pytest.raises(RuntimeError, match=r"failed as a state was written: its sequence has to begin anew$"):
            read(blocks, torn)
    assert read(blocks, [1, 4], fresh=[1]) == [20, 7]
    write(blocks, [4], [5])
    assert read(blocks, [4, 1]) == [50, 20]


def test_a_device_without_memory_refuses_a_sequence_and_takes_no_slot(monkeypatch):
    monkeypatch.setattr(device, "BLOCK_BYTES", 2 * ROW_BYTES)
    store = MemoryStore(INITIAL, (), capacity=6, place=partial(DeviceRows, device="cpu"))
    [slot] = store.allocate(1)

    def no_room(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(DeviceArray, "empty", no_room)
        with pytest.raises(StateFull, match=r"^cpu has no memory for more sequences; try again later$"):
            store.allocate(3)
        assert (store.live, store.arena_slots) == (1, 1)
        assert len(store.allocate(1)) == 1, "its block is there"
    assert len({slot, *store.allocate(4)}) == 5


def test_blocks_without_a_sequence_go_when_the_store_is_trimmed(monkeypatch):
    monkeypatch.setattr(device, "BLOCK_BYTES", 2 * ROW_BYTES)
    store = MemoryStore(INITIAL, (), capacity=6, place=partial(DeviceRows, device="cpu"))
    slots = store.allocate(5)
    store.release([slot for slot in slots if slot != 2])
    store.trim()
    assert store._states._blocks.keys() == {1}
    assert len(store.allocate(5)) == 5
    assert store._states._blocks.keys() == {0, 1, 2}
