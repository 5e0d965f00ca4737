"""Looks whether rows are finite: what is not must never become the state of a sequence."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from models.device_array import Rows
from server.signature import Signature
from server.types import Array, Arrays, Batch, Flags, Ints, States


def finite_rows(signature: Signature, batch: Batch, outputs: Arrays, next_states: States) -> Flags | None:
    """Which rows of a batch are finite, up to their lengths: what came, what was answered, and the next states.

    Some operators make a number of NaN, so that what came must be looked at too.

    Returns:
        `[rows]`; None where all are, which one look at each array shows.
    """
    if all(_is_finite(array) for array in _floats(batch, outputs, next_states)):
        return None
    finite = np.ones(len(batch.lengths), np.bool_)
    for spec in signature.inputs:
        array = batch.inputs[spec.name]
        if array.dtype.kind == "f":
            finite &= _finite_given(array, batch.lengths if spec.is_timed else None)
    for starting in batch.starting:
        for array in starting.inputs.values():
            finite[starting.rows] &= _all_finite(array)
    for rows in (*outputs.values(), *next_states.fixed.values()):
        finite &= _all_finite(rows)
    for arrays in next_states.ragged.values():
        finite &= np.array([np.isfinite(array).all() for array in arrays])
    return finite


def _floats(batch: Batch, outputs: Arrays, next_states: States) -> Iterator[Rows]:
    """All that is of floats."""
    groups: list[Mapping[str, Rows]] = [
        batch.inputs,
        outputs,
        next_states.fixed,
        *(starting.inputs for starting in batch.starting),
    ]
    for arrays in groups:
        yield from (array for array in arrays.values() if array.dtype.kind == "f")
    for rows in next_states.ragged.values():
        yield from (array for array in rows if array.dtype.kind == "f")


def _finite_given(array: Array, lengths: Ints | None) -> Flags:
    """Which rows of an input `[rows, …]` are finite; what is after a row's length is not looked at."""
    if lengths is None:
        return _all_finite(array)
    finite = np.isfinite(array).reshape(*array.shape[:2], -1).all(axis=2)
    return np.asarray((finite | (np.arange(array.shape[1]) >= lengths[:, None])).all(axis=1))


def _all_finite(array: Rows) -> Flags:
    """Which rows are finite; of what is on a device only the flags come here."""
    if not isinstance(array, np.ndarray):
        return array.finite_rows()
    return np.asarray(np.isfinite(array).reshape(len(array), -1).all(axis=1))


def _is_finite(array: Rows) -> bool:
    """Whether all is finite: then so is the sum of squares, unless it is too large, and that is one pass, not two.

    Of all that gives such a sum, `vdot` alone does not warn of one that is too large.
    """
    if not isinstance(array, np.ndarray):
        return bool(array.finite_rows().all())
    if array.dtype.itemsize >= 4 and math.isfinite(np.vdot(array, array)):  # type: ignore[arg-type]  # it is of floats
        return True
    return bool(np.isfinite(array).all())
