"""Temporal order: which of X and Y came first, and which second, among distractors.

S. Hochreiter, J. Schmidhuber. Neural Computation 9(8), 1997, experiment 6a; the places are those of R. Pascanu, T.
Mikolov, Y. Bengio. On the difficulty of training recurrent neural networks. ICML 2013: uniform distractors, and one
of X, Y at a step in [T/10, 2T/10), one in [4T/10, 5T/10). The class is 2 first + second, with X = 0 and Y = 1.
"""

import numpy as np

from training.data.series import Symbols

DISTRACTORS = 4
# X is the symbol 4 and Y is 5.
KINDS = DISTRACTORS + 2


def make_temporal_order(seed: int, count: int, steps: int) -> Symbols:
    """Make inputs `[count, steps]` of six symbols, and targets `[count]` of four classes; `steps` is at least 10."""
    random = np.random.default_rng(seed)
    inputs = random.integers(0, DISTRACTORS, (count, steps))
    rows, which = np.arange(count), random.integers(0, 2, (2, count))
    for tenth, chosen in zip((1, 4), which, strict=True):
        place = random.integers(steps * tenth // 10, steps * (tenth + 1) // 10, count)
        inputs[rows, place] = DISTRACTORS + chosen
    return Symbols(inputs, 2 * which[0] + which[1], KINDS)
