import resource
from pathlib import Path

import numpy as np
import pytest

from models.manifest import TensorSpec
from server.stores import rows
from server.stores.memory import MemoryStore
from server.types import Batch, States

MIB = 2**20
OUTPUTS = (TensorSpec("y", "FP32", ("time", 2)),)


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def write(store, slots, width):
    rows = len(slots)
    ones = np.ones(rows, np.int64)
    none = np.zeros(rows, np.uint64)
    batch = Batch(np.array(slots), ones > 1, {}, ones, ones, numbered=None, digests=none, lives=none)
    outputs = {"y": np.zeros((rows, 1, 2), np.float32)}
    store.commit(batch, outputs, States({"a": np.ones((rows, width), np.float32)}), np.arange(rows))


@pytest.fixture
def wide(monkeypatch):
    """Make a store of rows of a MiB, whose blocks are of 8 slots."""
    monkeypatch.setattr(rows, "BLOCK", 8)
    return MemoryStore({"a": np.zeros(MIB // 4, np.float32)}, OUTPUTS, capacity=500)


def test_rows_cost_no_memory_until_they_are_written():
    before = resident_bytes()
    store = MemoryStore({"a": np.zeros(MIB, np.float32)}, OUTPUTS, capacity=512)
    write(store, store.allocate(1), MIB)
    assert resident_bytes() - before < 512 * MIB, "the reserve is 2 GiB"


def test_a_block_without_a_sequence_goes_back_to_the_system(wide):
    slots = wide.allocate(48)
    write(wide, slots, MIB // 4)
    before = resident_bytes()
    kept = [slots[20]]
    wide.release([slot for slot in slots if slot not in kept])
    assert resident_bytes() > before - 8 * MIB, "nothing goes back before the store is told to"
    wide.trim()
    assert resident_bytes() < before - 32 * MIB
    assert wide.gather(np.array(kept), np.array([False])).fixed["a"].all()


def test_a_block_goes_back_when_its_last_sequence_has_gone_though_others_went_before(wide):
    slots = wide.allocate(8)
    write(wide, slots, MIB // 4)
    before = resident_bytes()
    wide.release(slots[1:])
    wide.trim()
    assert resident_bytes() > before - 2 * MIB
    wide.release(slots[:1])
    wide.trim()
    assert resident_bytes() < before - 6 * MIB


def test_slots_of_a_block_that_went_back_are_used_again(wide):
    slots = wide.allocate(8)
    write(wide, slots, MIB // 4)
    wide.release(slots)
    wide.trim()
    again = wide.allocate(8)
    write(wide, again[:4], MIB // 4)
    wide.trim()
    assert wide.gather(np.array(again[:4]), np.zeros(4, np.bool_)).fixed["a"].all()
    assert sorted(again) == sorted(slots)


def test_the_last_block_may_be_cut_off_by_the_capacity(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", 8)
    store = MemoryStore({"a": np.zeros(MIB // 4, np.float32)}, OUTPUTS, capacity=10)
    slots = store.allocate(10)
    write(store, slots, MIB // 4)
    store.release(slots)
    store.trim()
    assert store.live == 0
    assert len(store.allocate(10)) == 10
