"""The plain values that pass between the server's layers.

Those made for every request are named tuples and msgspec's structs: a dataclass costs more to build than a row to run.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from server.errors import RecurError

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
SequenceId = int | str


class ModelKey(NamedTuple):
    """A model version."""

    name: str
    version: int


class SessionKey(NamedTuple):
    """A client's sequence; the integer 5 and the string "5" are two sequences.

    The version is not part of it: a sequence stays the same one when a newer version is published.
    """

    tenant: str
    model: str
    sequence_id: SequenceId


class Answer(msgspec.Struct, frozen=True, eq=False):
    """What a chunk gave: outputs `[rows, time, …]`, and the steps its sequence has had."""

    outputs: Arrays
    position: int


class Chunk(msgspec.Struct, frozen=True, eq=False):
    """What one request asks: the next steps of one sequence, or whole sequences that are not kept.

    Attributes:
        model: the version to run on.
        key: the sequence, or None where nothing is kept.
        inputs: by name, `[rows, time, …]`.
        lengths: valid steps of each row, 1..time.
        start: begin the sequence at the initial state.
        end: forget the sequence afterwards.
        done: called once, on the event loop, with the answer or the error.
        arrived: monotonic seconds.
        deadline: monotonic seconds after which the chunk must not start.
    """

    model: ModelKey
    key: SessionKey | None
    inputs: Arrays
    lengths: Sequence[int]
    time: int
    start: bool
    end: bool
    done: Callable[[Answer | RecurError], None]
    arrived: float
    deadline: float = math.inf

    @property
    def rows(self) -> int:
        """How many rows of a batch the chunk takes."""
        return len(self.lengths)


class Turn(msgspec.Struct, frozen=True, eq=False):
    """A chunk whose turn has come: the slots of its rows' states, and whether they begin anew."""

    chunk: Chunk
    slots: Sequence[int]
    fresh: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of many sequences, run together.

    Attributes:
        slots: where each row's state lives, `[rows]`.
        fresh: the rows that begin at the initial state, `[rows]`.
        inputs: by name, `[rows, time, …]`, zeros after a row's length.
        lengths: valid steps of each row, `[rows]`.
    """

    slots: NDArray[np.intp]
    fresh: NDArray[np.bool_]
    inputs: Arrays
    lengths: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch gave, committed already.

    Attributes:
        outputs: by name, `[rows, time, …]`.
        finite: the rows whose outputs and next states are finite, the only ones committed, `[rows]`; None for all.
        seconds: time in each stage: gather, compute, scatter.
    """

    outputs: Arrays
    finite: NDArray[np.bool_] | None
    seconds: Mapping[str, float]


class Turns(Protocol):
    """Whoever keeps the sequences: asked when a chunk's turn comes, told how it went."""

    def begin(self, chunk: Chunk) -> Turn:
        """Give the chunk its slots, or raise the RecurError that answers it."""
        ...

    def commit(self, turn: Turn) -> int:
        """Record that the turn's steps were done; returns the sequence's position."""
        ...

    def abort(self, turn: Turn) -> None:
        """Leave the sequence as it was before its turn."""
        ...
