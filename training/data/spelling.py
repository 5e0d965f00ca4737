"""Words as what they are spelt of: itself, its endings and its beginning, its shape, each a symbol of one table."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import final

import numpy as np

from training.data.series import Indices

FIELDS = ("word", "lower", "end1", "end2", "end3", "end4", "begin2", "shape")
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
# What was seen less often in training is read as unknown: so that unknown is learnt.
LEAST = 3

_RUNS = re.compile(r"(.)\1+")


@final
class Spelling:
    """The symbols of what training words are spelt of.

    Args:
        sentences: the training part's.

    Attributes:
        vocabulary: a text for each symbol, `FIELD=TEXT`.
    """

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        seen = Counter(text for words in sentences for word in words for text in spelt(word))
        known = sorted(text for text, count in seen.items() if count >= LEAST)
        self.vocabulary = tuple([f"{field}={UNKNOWN}" for field in FIELDS] + known)
        self._index = {text: index for index, text in enumerate(self.vocabulary)}

    def symbols(self, words: Sequence[str]) -> Indices:
        """Give a row of symbols for each word, `[time, fields]`."""
        rows = [[self._index.get(text, field) for field, text in enumerate(spelt(word))] for word in words]
        return np.array(rows, np.int64)


def spelt(word: str) -> Iterator[str]:
    """Give the texts of a word's symbols, in the order of `FIELDS`."""
    lower = word.lower()
    ends = (lower[-length:] for length in (1, 2, 3, 4))
    for field, text in zip(FIELDS, (word, lower, *ends, lower[:2], _shape(word)), strict=True):
        yield f"{field}={text}"


def _shape(word: str) -> str:
    """Say how a word looks: `Xx` for Anna, `d-x` for 20-year, runs told once."""
    kinds = ("X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word)
    return _RUNS.sub(r"\1", "".join(kinds))
