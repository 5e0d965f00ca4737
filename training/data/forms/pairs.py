"""Sets of which one sequence is written from another."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from training.data import store
from training.data.data import Sequences
from training.data.forms.form import MADE, Form
from training.data.generated.reversal import make_reversal
from training.data.generated.sorting import make_sorting
from training.data.published.multi30k import Pair, load_multi30k
from training.data.series import Indices, Parts, Series
from training.options import Count


def reversal(*, shortest: Count = 3, longest: Count = 20, count: Count = 20_000, kinds: Count = 10) -> Form:
    """Rows of symbols of many lengths, and each written from its end."""

    def rows(part: int, rows: int) -> Sequences:
        random = np.random.default_rng([part, longest])
        sources = make_reversal(part, rows, longest, kinds).inputs
        lengths = random.integers(shortest, longest + 1, rows).tolist()
        cut = [source[:length] for source, length in zip(sources, lengths, strict=True)]
        return [_rewritten(source, source[::-1], kinds) for source in cut]

    fewer = max(100, count // 20)
    made: Parts[Sequences] = Parts(rows(0, count), rows(1, fewer), rows(2, fewer), MADE)
    return Form(made, kinds + 1, kinds + 1, edge=kinds, ends="symbol", source_symbols=kinds)


def sorting(*, shortest: Count = 3, longest: Count = 10, count: Count = 20_000, kinds: Count = 100) -> Form:
    """Rows of different numbers, and their places from the smallest to the largest."""

    def rows(part: int, rows: int) -> Sequences:
        made = make_sorting(part, rows, shortest, longest, kinds)
        return [_rewritten(numbers, places, longest) for numbers, places in made]

    fewer = max(100, count // 20)
    made: Parts[Sequences] = Parts(rows(0, count), rows(1, fewer), rows(2, fewer), MADE)
    return Form(made, longest + 1, longest + 1, edge=longest, ends="symbol", source_symbols=kinds)


def multi30k(*, least: Count = 2) -> Form:
    """Captions in English, written from German; of both the tokens that training has at least so often."""
    parts = store.read("multi30k", load_multi30k)
    german, english = (
        _tokens((getattr(pair, language) for pair in parts.train), least) for language in ("german", "english")
    )
    edge = len(english)

    def series(pair: Pair) -> Series:
        return _rewritten(_indices(pair.german, german), _indices(pair.english, english), edge)

    made: Parts[Sequences] = parts.each(lambda part: [series(pair) for pair in part])
    return Form(
        made,
        edge + 1,
        edge + 1,
        vocabulary=(*english, "\n"),
        edge=edge,
        ends="symbol",
        source_symbols=len(german),
        source_vocabulary=tuple(german),
    )


def _rewritten(source: Indices, target: Indices, edge: int) -> Series:
    """Let a target be written from a source, from the edge and to it."""
    return Series(np.append(edge, target), np.append(target, edge), np.ascontiguousarray(source))


def _tokens(sentences: Iterable[Sequence[str]], least: int) -> dict[str, int]:
    """Number the tokens that come often enough; the first stands for all others."""
    seen = Counter(token for sentence in sentences for token in sentence)
    known = sorted(token for token, count in seen.items() if count >= least)
    return {token: index for index, token in enumerate(("\N{REPLACEMENT CHARACTER}", *known))}


def _indices(sentence: Sequence[str], tokens: Mapping[str, int]) -> Indices:
    return np.array([tokens.get(token, 0) for token in sentence], np.int64)
