"""A value that differs from place to place: its median, and the quartiles around it."""

from typing import NamedTuple

import numpy as np
from torch import Tensor


class Band(NamedTuple):
    """The lower quartile, the median and the upper quartile."""

    low: float
    median: float
    high: float


def band(values: Tensor) -> Band:
    """Give the quartiles of some values, `[places]`."""
    return Band(*(float(one) for one in np.quantile(values.detach().numpy(), [0.25, 0.5, 0.75])))
