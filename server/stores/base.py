"""What the engine asks of a store: rows out before a run, rows in after it."""

import abc
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.types import Arrays


class StateStore(abc.ABC):
    """The states of one model version's sequences, by slot number."""

    @abc.abstractmethod
    def allocate(self, count: int) -> list[int]:
        """Take free slots, all or none; raises SequencesFull. What they hold is read only after a commit."""

    @abc.abstractmethod
    def release(self, slots: Sequence[int]) -> None:
        """Give slots back."""

    @abc.abstractmethod
    def gather(self, slots: NDArray[np.intp], fresh: NDArray[np.bool_]) -> Arrays:
        """Copy out rows, `[rows, …]` by state name; `fresh` rows are the initial state."""

    @abc.abstractmethod
    def commit(self, slots: NDArray[np.intp], next_states: Arrays) -> None:
        """Keep the next states of a batch, `[rows, …]`: all of them, before any answer leaves."""

    @property
    @abc.abstractmethod
    def live(self) -> int:
        """Slots in use."""

    @property
    @abc.abstractmethod
    def slot_bytes(self) -> int:
        """Bytes of state in one slot."""
