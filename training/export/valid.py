"""Which steps of each row are no padding, as nodes."""

import numpy as np

from training.export.builder import Builder
from training.export.scan import VALID


def write_valid(build: Builder) -> None:
    """Write which steps are within their row's length, `valid [batch, time, 1]`."""
    zero, one = build.constant("from", np.array(0, np.int64)), build.constant("by", np.array(1, np.int64))
    first, second = build.constant("axis.0", np.array([0], np.int64)), build.constant("axis.1", np.array([1], np.int64))
    time = build.node("Squeeze", build.node("Shape", "x", start=1, end=2), first)
    steps = build.node("Range", zero, time, one)
    within = build.node("Less", steps, build.node("Unsqueeze", "lengths", second))
    build.node("Unsqueeze", within, build.constant("axis.2", np.array([2], np.int64)), output=VALID)
