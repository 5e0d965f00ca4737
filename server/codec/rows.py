"""Which sequences a request is for: one named by its parameters, many named by its tensors, or none that is kept."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from server.codec.parameters import LONGEST_ID, Parameters, checked_text
from server.codec.tensors import Tensors
from server.columns import constant, no_flags, no_words
from server.digest import life_of
from server.errors import InvalidRequest, RecurError
from server.signature import LENGTHS, Signature
from server.types import UNNUMBERED, Flags, Ints, SequenceId, Words

YES = np.array([True])
NAMELESS = frozenset({0, ""})
# Integer ids of more bytes are not remembered.
LONGEST_KNOWN = 8192


class Rows(NamedTuple):
    """The rows of a request, `[rows]` each.

    Attributes:
        ids: empty where nothing is kept.
        plain: every row goes on with a sequence, and does nothing else.
        wrong: by row, why it cannot be asked for; its other values have no meaning.
    """

    ids: Sequence[SequenceId]
    start: Flags
    end: Flags
    steps: Ints
    lives: Words
    lengths: Ints
    plain: bool
    wrong: dict[int, RecurError]


def rows_of(parameters: Parameters, tensors: Tensors, signature: Signature) -> Rows:
    """Read the rows of a request of any kind; raises InvalidRequest."""
    if "sequence_id" in tensors.reserved:
        rows = many_rows(parameters, tensors)
    elif parameters.sequence_id is None:
        rows = unkept_rows(parameters, tensors)
    else:
        rows = one_row(parameters, tensors)
    if signature.starting:
        _check_starts(rows, tensors, signature)
    return rows


def ids_alone(parameters: Parameters, tensors: Tensors) -> Sequence[SequenceId] | None:
    """Read the ids and nothing else; None where there are none, or one is wrong."""
    sequence, many = parameters.sequence_id, tensors.reserved.get("sequence_id")
    if many is None:
        return None if sequence is None else (sequence,)
    ids, wrong = _ids(many)
    return None if wrong or sequence is not None else ids


def one_row(parameters: Parameters, tensors: Tensors) -> Rows:
    """Read the row of a request for one sequence; raises InvalidRequest."""
    if tensors.rows != 1:
        raise InvalidRequest(
            f"a request for one sequence has one row, this has {tensors.rows}; "
            "many sequences are named by an input 'sequence_id' and no parameter of that name"
        )
    if tensors.reserved:
        raise InvalidRequest(f"parameter 'sequence_id' came with the input '{next(iter(tensors.reserved))}'; give one")
    assert parameters.sequence_id is not None
    return Rows(
        (parameters.sequence_id,),
        YES if parameters.start else no_flags(1),
        YES if parameters.end else no_flags(1),
        constant(UNNUMBERED, 1) if parameters.step == UNNUMBERED else np.array([parameters.step], np.int64),
        np.array([parameters.life], np.uint64) if parameters.life else no_words(1),
        _lengths(tensors),
        not _asks_more(parameters),
        {},
    )


def unkept_rows(parameters: Parameters, tensors: Tensors) -> Rows:
    """Read the rows of a request that names no sequence; raises InvalidRequest."""
    named = [f"input '{name}'" for name in tensors.reserved]
    named += [f"parameter '{field}'" for field, given in _sequence_parameters(parameters) if given]
    if named:
        raise InvalidRequest(f"{named[0]} needs a sequence_id other than 0 or ''")
    rows, flags = tensors.rows, no_flags(tensors.rows)
    return Rows((), flags, flags, constant(UNNUMBERED, rows), no_words(rows), _lengths(tensors), False, {})


def many_rows(parameters: Parameters, tensors: Tensors) -> Rows:
    """Read the rows of a request for many sequences; a row that is wrong is told so by itself."""
    for field, given in _sequence_parameters(parameters):
        if given:
            raise InvalidRequest(f"parameter '{field}' came with the input 'sequence_id'; give an input of that name")
    reserved, count = tensors.reserved, tensors.rows
    ids, wrong = _ids(reserved["sequence_id"])
    steps = constant(UNNUMBERED, count)
    if "recur_step" in reserved:
        steps = np.asarray(reserved["recur_step"], np.int64)
        for row in np.flatnonzero(steps < 0).tolist():
            wrong[row] = InvalidRequest(f"recur_step {steps[row]} must be from 0")
    lengths = constant(tensors.time, count)
    if tensors.lengths is not None:
        lengths = tensors.lengths
        for row in np.flatnonzero((lengths < 1) | (lengths > tensors.time)).tolist():
            wrong[row] = InvalidRequest(f"length {lengths[row]} must be from 1 to the inputs' time, {tensors.time}")
    flags = no_flags(count)
    return Rows(
        ids,
        np.asarray(reserved.get("sequence_start", flags)),
        np.asarray(reserved.get("sequence_end", flags)),
        steps,
        _lives(reserved.get("recur_incarnation"), count, wrong),
        lengths,
        len(reserved) == 1,
        wrong,
    )


def _check_starts(rows: Rows, tensors: Tensors, signature: Signature) -> None:
    """Hold what the start graph takes against the rows that begin; raises InvalidRequest, or notes rows that are wrong.

    Rows that are not kept begin, and have nothing to answer without steps.
    """
    first, begins = signature.starting[0], rows.start if rows.ids else np.ones(tensors.rows, np.bool_)
    if tensors.starting and not begins.any():
        raise InvalidRequest(f"input '{first.name}' begins a sequence; send it with its start alone")
    wrong = np.zeros(tensors.rows, np.bool_)
    error = InvalidRequest(f"a sequence of this model begins with input '{first.name}', which is missing")
    if not tensors.starting:
        wrong = begins
    elif not tensors.time:
        wrong = ~rows.start
        error = InvalidRequest(f"input '{signature.inputs[0].name}' is missing; only a start may come without steps")
    if wrong.any() and "sequence_id" not in tensors.reserved:
        raise error
    for row in np.flatnonzero(wrong).tolist():
        rows.wrong.setdefault(row, error)


def _asks_more(parameters: Parameters) -> bool:
    return parameters.start or parameters.end or parameters.step != UNNUMBERED or parameters.life != 0


def _sequence_parameters(parameters: Parameters) -> Sequence[tuple[str, bool]]:
    return (
        ("sequence_id", parameters.sequence_id is not None),
        ("sequence_start", parameters.start),
        ("sequence_end", parameters.end),
        ("recur_step", parameters.step != UNNUMBERED),
        ("recur_incarnation", parameters.life != 0),
    )


def _lengths(tensors: Tensors) -> Ints:
    lengths = tensors.lengths
    if lengths is None:
        return constant(tensors.time, tensors.rows)
    if lengths.min() < 1 or lengths.max() > tensors.time:
        raise InvalidRequest(f"input '{LENGTHS}' must be from 1 to the time of the inputs, {tensors.time}")
    return lengths


def _ids(given: np.ndarray | Sequence[bytes]) -> tuple[Sequence[SequenceId], dict[int, RecurError]]:
    """The ids, each once, and the rows that name none, one that cannot be, or one that an earlier row names."""
    wrong: dict[int, RecurError] = {}
    ids, are_right = _integers(given) if isinstance(given, np.ndarray) else _checked(_texts(given, wrong))
    if are_right:
        return ids, wrong
    seen: set[SequenceId] = set()
    for row, sequence in enumerate(ids):
        if not sequence:
            wrong.setdefault(row, InvalidRequest("sequence_id 0 or '' names no sequence"))
        elif sequence in seen:
            wrong[row] = InvalidRequest(f"sequence_id {sequence!r} came twice in one request")
        seen.add(sequence)
    return ids, wrong


def _integers(given: np.ndarray) -> tuple[Sequence[SequenceId], bool]:
    raw = given.tobytes()
    return _known(raw) if len(raw) <= LONGEST_KNOWN else _known.__wrapped__(raw)


@lru_cache(maxsize=256)
def _known(raw: bytes) -> tuple[Sequence[SequenceId], bool]:
    """Read integer ids; most clients ask for the same sequences again and again."""
    return _checked(np.frombuffer(raw, np.int64).tolist())


def _checked(ids: Sequence[SequenceId]) -> tuple[Sequence[SequenceId], bool]:
    """Give the ids, and whether each names a sequence of its own."""
    distinct = set(ids)
    return tuple(ids), len(distinct) == len(ids) and distinct.isdisjoint(NAMELESS)


def _texts(given: Sequence[bytes], wrong: dict[int, RecurError]) -> list[SequenceId]:
    ids: list[SequenceId] = []
    for row, value in enumerate(given):
        try:
            ids.append(_text("sequence_id", value))
        except InvalidRequest as error:
            wrong[row] = error
            ids.append("")
    return ids


def _lives(given: np.ndarray | Sequence[bytes] | None, count: int, wrong: dict[int, RecurError]) -> Words:
    if given is None:
        return no_words(count)
    lives = np.zeros(count, np.uint64)
    for row, value in enumerate(given):
        try:
            lives[row] = life_of(_text("recur_incarnation", value))
        except InvalidRequest as error:
            wrong[row] = error
    return lives


def _text(name: str, value: bytes) -> str:
    try:
        return checked_text(name, value.decode())
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} must be at most {LONGEST_ID} bytes of UTF-8 without NUL") from error
