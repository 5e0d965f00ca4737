"""Where published sets are on this machine: RECUR_DATA, or the user's cache."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from training.data.sets import DataSet, published
from training.errors import DataInvalid, WrongUse

Value = TypeVar("Value")


def root() -> Path:
    """Give the folder that has a folder for each set."""
    if given := os.environ.get("RECUR_DATA"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recur"


def is_here(name: str) -> bool:
    """Tell whether every file of a set is on this machine."""
    return all((root() / name / path).is_file() for path in find(name).paths())


def read(name: str, loader: Callable[[Path], Value]) -> Value:
    """Load a set from its folder.

    Raises:
        DataInvalid: it is not here, or damaged; the sentence has the command that brings or mends it.
    """
    command = f"`python -m training data fetch {name}`"
    if not is_here(name):
        raise DataInvalid(f"data set '{name}' is not in '{root()}'; {command} brings it")
    try:
        return loader(root() / name)
    except (ValueError, LookupError, OSError, EOFError, zlib.error) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataInvalid(f"data set '{name}' in '{root()}' is damaged ({what}); {command} mends it") from error


def find(name: str) -> DataSet:
    """Give a set of the table; raises WrongUse where there is none of that name."""
    if name not in published():
        raise WrongUse(f"no data set '{name}'; there is {', '.join(published())}")
    return published()[name]
