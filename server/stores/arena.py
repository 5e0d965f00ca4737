"""Rows of one shape, in memory that is reserved once, given by the system as rows are written, and given back."""

import math
import mmap
from collections.abc import Sequence
from typing import final

import numpy as np

from server.types import Array

# Linux's flag, which Python's mmap names from 3.13 on: reserve addresses, not memory.
MAP_NORESERVE = 0x4000


@final
class Arena:
    """An array `[capacity, …]` that never moves and never grows; rows not written yet cost no memory.

    Args:
        shape: of one row.
        capacity: how many rows.
    """

    def __init__(self, shape: Sequence[int], dtype: np.dtype, capacity: int) -> None:
        self.row_bytes = dtype.itemsize * math.prod(shape)
        size = max(1, self.row_bytes * capacity)
        self._memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        flat = np.frombuffer(self._memory, dtype, capacity * math.prod(shape))
        self.rows: Array = flat.reshape(capacity, *shape)

    def forget(self, first: int, last: int) -> None:
        """Give back the memory of the rows from `first` up to `last`, which become zeros where they fill pages."""
        start = -(-first * self.row_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        stop = last * self.row_bytes // mmap.PAGESIZE * mmap.PAGESIZE
        if stop > start:
            self._memory.madvise(mmap.MADV_DONTNEED, start, stop - start)
