import mmap
import resource
from pathlib import Path

import numpy as np
import pytest

from server.stores.arena import Arena

MIB = 2**20
FLOAT = np.dtype(np.float32)


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_rows_are_zeros_until_they_are_written():
    arena = Arena((3, 2), FLOAT, 5)
    assert (arena.rows.shape, arena.rows.dtype, arena.row_bytes) == ((5, 3, 2), FLOAT, 24)
    assert not arena.rows.any()
    arena.rows[4] = 1.5
    assert arena.rows.sum() == 9.0


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float64])
def test_a_row_may_be_a_single_value_of_any_type(dtype):
    arena = Arena((), np.dtype(dtype), 7)
    arena.rows[3] = 1
    assert arena.rows.tolist() == [0, 0, 0, 1, 0, 0, 0]


def test_memory_comes_as_rows_are_written_and_goes_when_they_are_forgotten():
    before = resident_bytes()
    arena = Arena((MIB // 4,), FLOAT, 2048)
    assert resident_bytes() - before < 16 * MIB, "2 GiB are reserved"
    arena.rows[:64] = 1
    written = resident_bytes() - before
    assert written > 56 * MIB
    arena.forget(0, 32)
    assert resident_bytes() - before < written - 24 * MIB
    assert not arena.rows[:32].any()
    assert arena.rows[32:64].all()


def test_a_page_that_rows_share_stays_until_all_of_them_go():
    arena = Arena((), np.dtype(np.int8), 3 * mmap.PAGESIZE)
    arena.rows[:] = 1
    arena.forget(10, 2 * mmap.PAGESIZE + 10)
    assert arena.rows[: mmap.PAGESIZE].all()
    assert not arena.rows[mmap.PAGESIZE : 2 * mmap.PAGESIZE].any()
    assert arena.rows[2 * mmap.PAGESIZE :].all()


def test_rows_of_less_than_a_page_are_forgotten_without_harm():
    arena = Arena((4,), FLOAT, 8)
    arena.rows[:] = 1
    arena.forget(2, 5)
    assert arena.rows.all()


def test_rows_that_were_forgotten_can_be_written_again():
    arena = Arena((mmap.PAGESIZE,), np.dtype(np.int8), 4)
    arena.rows[:] = 1
    arena.forget(1, 3)
    arena.rows[2] = 5
    assert arena.rows[:, 0].tolist() == [1, 0, 5, 1]
