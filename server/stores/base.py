"""What the engine asks of a store: rows out before a run, one commit after it and before any answer leaves."""

import abc
from collections.abc import Mapping, Sequence

from server.stores.records import Records
from server.types import Arrays, Batch, Flags, Slots, States, Stored


class StateStore(abc.ABC):
    """The states, records and last answers of one model version's sequences, by slot number.

    Attributes:
        records: where each slot's sequence stands, as of the last commit.
    """

    records: Records

    @abc.abstractmethod
    def allocate(self, count: int) -> list[int]:
        """Take free slots, all or none; raises SequencesFull, or StateFull where there is no memory for them.

        What they hold is read only after a commit.
        """

    @abc.abstractmethod
    def release(self, slots: Sequence[int]) -> None:
        """Give slots back, with all that they hold."""

    @abc.abstractmethod
    def gather(self, slots: Slots, fresh: Flags) -> States:
        """Give the rows' states, valid until the next commit; `fresh` rows are the initial state, to be written to."""

    @abc.abstractmethod
    def without_room(self, slots: Slots, next_states: States) -> Flags | None:
        """Tell which rows' states would grow past the bytes that all may take, `[rows]`; None for none."""

    @abc.abstractmethod
    def sizes(self, slot: int) -> Mapping[str, tuple[int, ...]]:
        """Give the shapes of a slot's states that have a free axis, by name."""

    @abc.abstractmethod
    def commit(self, batch: Batch, outputs: Arrays, next_states: States, kept: Slots | None) -> None:
        """Keep what a batch gave to its rows `kept`, None for all: next states, records, answers of numbered ones."""

    @abc.abstractmethod
    def take_over(self, slot: int, source: int, answer: Arrays) -> int:
        """Let a slot go on from the state and the position of another; gives the position.

        Where its last request was counted, that counts to there too, and `answer`, by any names, is what it gave.
        """

    @abc.abstractmethod
    def recall(self, slot: int) -> Stored:
        """Give the last answer of a numbered sequence."""

    @abc.abstractmethod
    def trim(self) -> None:
        """Give memory that no sequence uses back to the system."""

    @property
    @abc.abstractmethod
    def live(self) -> int:
        """Slots in use."""

    @property
    @abc.abstractmethod
    def arena_slots(self) -> int:
        """The most slots that have been in use at once."""

    @property
    @abc.abstractmethod
    def slot_bytes(self) -> int:
        """Bytes of state and of a stored answer of one step, in one slot."""

    @property
    @abc.abstractmethod
    def used_bytes(self) -> int:
        """Bytes of state and stored answers in all slots in use."""
