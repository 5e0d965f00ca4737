"""Columns that are alike in most batches, made once; nobody writes to them."""

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from server.types import Flags, Ints, Slots, Words

Number = TypeVar("Number", bound=np.generic)


@lru_cache(maxsize=1024)
def constant(value: int, rows: int) -> Ints:
    """Give a column of one number."""
    return _fixed(np.full(rows, value, np.int64))


@lru_cache(maxsize=1024)
def everyone(rows: int) -> Slots:
    """Give the numbers of all rows."""
    return _fixed(np.arange(rows))


@lru_cache(maxsize=1024)
def no_flags(rows: int) -> Flags:
    """Give a column of flags that are not set."""
    return _fixed(np.zeros(rows, np.bool_))


@lru_cache(maxsize=1024)
def no_words(rows: int) -> Words:
    """Give a column of zeros: of lives where no client says which, of digests where none counts its steps."""
    return _fixed(np.zeros(rows, np.uint64))


def _fixed(column: NDArray[Number]) -> NDArray[Number]:
    column.flags.writeable = False
    return column
