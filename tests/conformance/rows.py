"""What the equations are written of: rows of numbers, by name, of one sequence at one step."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.cell import Cell

Row = NDArray[np.float64]
Rows = dict[str, Row]
Equations = Callable[[Rows, Cell, Row, Rows], tuple[Row, Rows]]


def sigmoid(a: Row) -> Row:
    return 1 / (1 + np.exp(-a))


def within(p: Rows, prefix: str) -> Rows:
    """The numbers of a cell inside another."""
    return {name.removeprefix(prefix): row for name, row in p.items() if name.startswith(prefix)}
