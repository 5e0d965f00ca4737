"""Which steps of each row are no padding, as nodes."""

import numpy as np

from training.export.builder import Builder


def write_valid(build: Builder) -> None:
    """Write which of the builder's steps are within their row's length."""
    zero, one = build.constant("from", np.array(0, np.int64)), build.constant("by", np.array(1, np.int64))
    first, second = build.constant("axis.0", np.array([0], np.int64)), build.constant("axis.1", np.array([1], np.int64))
    time = build.node("Squeeze", build.node("Shape", build.steps.of, start=1, end=2), first)
    steps = build.node("Range", zero, time, one)
    within = build.node("Less", steps, build.node("Unsqueeze", build.steps.lengths, second))
    build.node("Unsqueeze", within, build.constant("axis.2", np.array([2], np.int64)), output=build.steps.valid)
