"""Some thousands of rows of a file, as they stand in it."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Rows, and what is wrong with them as rows.

    Attributes:
        places: of each row its number in the file, from 1: of a text the line, its head counted.
        cells: the columns that were asked for, missing values null.
        wrong: of each row what is wrong with it as a whole, null where nothing is.
    """

    places: pl.Series
    cells: pl.DataFrame
    wrong: pl.Series
