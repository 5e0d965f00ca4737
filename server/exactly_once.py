"""What a numbered step means against what is stored of its sequence: run it, create, answer again, or refuse."""

from enum import Enum, auto
from typing import NamedTuple

from server.errors import (
    Fenced,
    InvalidRequest,
    SequenceExists,
    SequenceGone,
    StepAlreadyApplied,
    StepConflict,
    StepGap,
)
from server.types import UNNUMBERED, ModelKey, Record, Stored


class Verdict(Enum):
    """What to do with a row."""

    CREATE = auto()
    ANEW = auto()
    RUN = auto()
    REPLAY = auto()


class Asked(NamedTuple):
    """A row as its client asks for it.

    Attributes:
        step: steps done before it, as the client counts them, or UNNUMBERED.
        life: which life of its id it means; 0 for any.
        digest: of its inputs, where it has a step.
    """

    start: bool
    step: int
    life: int
    digest: int


class Ended(NamedTuple):
    """What is remembered of a sequence that is no more: how it went and, for a while, its last answer."""

    how: str
    until: float
    model: ModelKey
    record: Record | None = None
    stored: Stored | None = None

    @property
    def bytes(self) -> int:
        """What the stored answer takes."""
        return 0 if self.stored is None else sum(array.nbytes for array in self.stored.outputs.values())


def decide(asked: Asked, live: Record | None, ended: Ended | None, named: str) -> Verdict:
    """Judge a row by the first rule that fits.

    Args:
        asked: the row.
        live: its sequence's record; None where it is not live.
        ended: what is remembered of a life of its id that has ended.
        named: how to name the sequence in a sentence.

    Raises:
        RecurError: the row is refused, and its sequence stays as it is.
    """
    if asked.start and asked.step > 0:
        raise InvalidRequest(f"{named} cannot start at recur_step {asked.step}; a start is step 0")
    if live is None:
        return _decide_absent(asked, ended, named)
    if asked.start and asked.step == UNNUMBERED:
        return Verdict.ANEW
    if asked.life and asked.life != live.life:
        raise Fenced(f"{named} lives with another recur_incarnation", position=live.position)
    return Verdict.RUN if asked.step == UNNUMBERED else _decide_numbered(asked, live, named)


def _decide_absent(asked: Asked, ended: Ended | None, named: str) -> Verdict:
    if asked.step != UNNUMBERED and ended and ended.record and _comes_again(asked, ended.record):
        return Verdict.REPLAY
    if asked.start:
        return Verdict.CREATE
    how = "is unknown here: never begun, or gone for long" if ended is None else ended.how
    raise SequenceGone(f"{named} {how}; begin it with sequence_start")


def _decide_numbered(asked: Asked, live: Record, named: str) -> Verdict:
    step, position = asked.step, live.position
    if live.length != UNNUMBERED and step + live.length == position:
        if asked.digest == live.digest:
            return Verdict.REPLAY
        if live.length:
            raise StepConflict(f"{named} has done step {step} with other inputs", position=position)
    if asked.start:
        raise SequenceExists(f"{named} lives already; end it first", position=position)
    if position == step:
        return Verdict.RUN
    if position > step:
        raise StepAlreadyApplied(f"{named} is at step {position}, past {step}; go on from there", position=position)
    raise StepGap(f"{named} is at step {position}, before {step}; send the steps between first", position=position)


def _comes_again(asked: Asked, last: Record) -> bool:
    """Whether it is the last request of a life that has ended: that life's, or no life's where it goes on."""
    return (
        last.length != UNNUMBERED
        and (asked.life == last.life or not (asked.life or asked.start))
        and asked.step + last.length == last.position
        and asked.digest == last.digest
    )
