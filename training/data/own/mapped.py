"""Sequences in a file of no name: the system reads what is asked for, and forgets it where memory is short."""

import mmap
import tempfile
from collections.abc import Iterable
from typing import IO, NamedTuple

import numpy as np

from training.data.series import Series
from training.errors import DataInvalid

# Of the widest numbers that there are: an array begins where one of them may.
ALIGNMENT = 8


class Place(NamedTuple):
    """Where in the file an array lies, and what it is."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


def mapped(sequences: Iterable[Series]) -> list[Series]:
    """Write sequences to the system's temporary folder, and give them as views of what was written.

    Raises:
        DataInvalid: the folder has no room for them.
    """
    # Without a buffer: what it could not write when the disk is full it would try again as the file closes.
    with tempfile.TemporaryFile(buffering=0, prefix="recur-") as file:
        places = [(_write(file, one.inputs), _write(file, one.targets)) for one in sequences]
        # The view outlives the file's name and handle; a map of nothing is refused by the system.
        memory = mmap.mmap(file.fileno(), 0) if file.tell() else mmap.mmap(-1, 1)
    return [Series(_view(memory, inputs), _view(memory, targets)) for inputs, targets in places]


def _write(file: IO[bytes], array: np.ndarray) -> Place:
    place = Place(file.tell(), array.shape, array.dtype)
    left = memoryview(array.tobytes() + bytes(-array.nbytes % ALIGNMENT))
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise DataInvalid(
            f"'{tempfile.gettempdir()}' cannot keep the sequences: {error.strerror}; TMPDIR names another folder"
        ) from error
    return place


def _view(memory: mmap.mmap, place: Place) -> np.ndarray:
    return np.ndarray(place.shape, place.dtype, memory, place.offset)
