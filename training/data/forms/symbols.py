"""Sets of which a step is a symbol."""

from typing import Literal

import numpy as np

from training.data import store
from training.data.data import Sequences
from training.data.forms.form import Form, of_symbols
from training.data.generated.copy_memory import make_copy_memory
from training.data.generated.key_value_recall import make_key_value_recall
from training.data.generated.temporal_order import make_temporal_order
from training.data.published.names import Name, load_names
from training.data.series import Parts, Series
from training.options import Count


def temporal_order(*, steps: Count = 50, count: Count = 10_000, seed: int = 0) -> Form:
    """Rows of six symbols; the target is one of four orders."""
    return of_symbols(lambda part, rows: make_temporal_order(part, rows, steps), count, seed, classes=4)


def copy_memory(*, blank: Count = 30, count: Count = 10_000, seed: int = 0) -> Form:
    """Rows of ten symbols; the targets are the copied ones at the end, and blanks before."""
    return of_symbols(lambda part, rows: make_copy_memory(part, rows, blank), count, seed, classes=10)


def key_value_recall(*, pairs: Count = 16, kinds: Count = 32, count: Count = 10_000, seed: int = 0) -> Form:
    """Pairs of symbols, and their first ones in another order; the targets are the second ones, and nothing before."""
    return of_symbols(
        lambda part, rows: make_key_value_recall(part, rows, pairs, kinds), count, seed, classes=kinds + 1
    )


def names(*, ends: Literal["symbol", "length"] = "symbol", languages: bool = True) -> Form:
    """Names as symbols; what a name is about is its language, and with `ends = "length"` how long it is.

    Args:
        ends: a name ends with a symbol of its own, or when as many symbols were read as were said at its beginning.
        languages: whether the language is said.
    """
    parts = store.read("names", load_names)
    known = sorted({name.language for part in (parts.train, parts.validation, parts.test) for name in part})
    characters = sorted({character for name in parts.train for character in name.text})
    edge = len(characters) + 1
    index = {character: place for place, character in enumerate(characters)}

    def series(name: Name) -> Series:
        symbols = np.array([index.get(character, edge - 1) for character in name.text], np.int64)
        about = np.array([language == name.language for language in known if languages], np.float32)
        if ends == "length":
            about = np.append(about, np.float32(len(symbols)))
            return Series(np.append(edge, symbols[:-1]), symbols, about)
        return Series(np.append(edge, symbols), np.append(symbols, edge), about if languages else None)

    vocabulary = (*characters, "\N{REPLACEMENT CHARACTER}", "\n")
    made: Parts[Sequences] = parts.each(lambda part: [series(name) for name in part])
    about = tuple(known) if languages else ()
    return Form(made, edge + 1, edge + 1, vocabulary, edge, ends, about)
