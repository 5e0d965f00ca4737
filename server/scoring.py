"""How probable a model finds what it was given: each step's next value, and all of them together."""

import numpy as np
from numpy.typing import NDArray

from models.manifest import Decode
from server.generation import logits_of
from server.types import Array, Flags, Ints


def log_probs(decode: Decode, answers: Array, given: Array, lengths: Ints, ends: Flags) -> NDArray[np.float64]:
    """Give the natural logarithm of the probability of what follows each step, `[rows, time]`.

    Of a row's last step that is the symbol or the unit that ends sequences, where the row ends its sequence and there
    is one; otherwise nothing is known to follow, and it is zero, as it is in the padding.

    Args:
        decode: `categorical` or `argmax`, whose answers are logits `[rows, time, symbols]`; or `bernoulli`, `[rows,
            time, …]`.
        answers: of the steps.
        given: what the steps were, `[rows, time, …]`.
        lengths: valid steps of each row, `[rows]`.
        ends: the rows that end their sequence, `[rows]`.
    """
    logits = logits_of(decode, answers)
    found = np.zeros(logits.shape[:2])
    followed = np.arange(logits.shape[1]) < lengths[:, None] - 1
    if decode.sampling == "bernoulli":
        units = np.roll(given, -1, axis=1).astype(np.bool_)
        each = -np.logaddexp(0.0, np.where(units, -logits, logits))
        found[followed] = each.reshape(*each.shape[:2], -1).sum(-1)[followed]
        return found
    stop = logits[..., -1].copy()
    if decode.stop_unit:
        logits[..., -1] = -np.inf  # it is no symbol's
    logarithms = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    symbols = np.where(followed, np.roll(given, -1, axis=1), 0)
    found[followed] = np.take_along_axis(logarithms, symbols[..., None], -1)[..., 0][followed]
    last = lengths[ends] - 1
    if decode.stop_unit:
        found[followed] -= np.logaddexp(0.0, stop)[followed]
        found[ends, last] = -np.logaddexp(0.0, -stop[ends, last])
    elif decode.end is not None:
        found[ends, last] = logarithms[ends, last, decode.end]
    return found
