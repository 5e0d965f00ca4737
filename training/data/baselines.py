"""What a model of a text must beat: bits per character of models that learn next to nothing."""

import bz2
import lzma
import math
from collections import Counter

from training.data.text import Text


def baselines(text: Text) -> dict[str, float]:
    """Give bits per character of the held-out part, by name.

    unigram: the characters' frequencies in what came before, one added to each.
    bz2: the compressed size of the held-out part alone.
    xz: what the held-out part adds to the compressed size of what came before; it has read that first.
    """
    seen, held_out = text.train + text.validation, text.held_out
    return {"unigram": _unigram(seen, held_out), "bz2": _bz2(held_out), "xz": _xz(seen, held_out)}


def _unigram(seen: str, held_out: str) -> float:
    counts = Counter(seen)
    total = len(seen) + len(set(seen) | set(held_out))
    return -sum(math.log2((counts[character] + 1) / total) for character in held_out) / len(held_out)


def _bz2(held_out: str) -> float:
    return 8 * len(bz2.compress(held_out.encode())) / len(held_out)


def _xz(seen: str, held_out: str) -> float:
    before, after = len(lzma.compress(seen.encode())), len(lzma.compress((seen + held_out).encode()))
    return 8 * (after - before) / len(held_out)
