"""Copy memory: ten symbols are given back after a long blank.

S. Hochreiter, J. Schmidhuber. Neural Computation 9(8), 1997; the form here is that of M. Arjovsky, A. Shah, Y.
Bengio. Unitary Evolution Recurrent Neural Networks. ICML 2016: of length `blank + 20`, with symbols s uniform in
1..8, 0 for blank, 9 to ask,

    x = s[1] ... s[10]  0 ... 0 (blank - 1 of them)  9  0 ... 0 (10),
    y = 0 ... 0 (blank + 10)  s[1] ... s[10].

Without memory the cross entropy is 10 ln 8 / (blank + 20).
"""

import numpy as np

from training.data.series import Symbols

COPIED, KINDS = 10, 8
ASK = KINDS + 1


def make_copy_memory(seed: int, count: int, blank: int) -> Symbols:
    """Make inputs and targets `[count, blank + 20]` of ten kinds; `blank` is at least 1."""
    symbols = np.random.default_rng(seed).integers(1, KINDS + 1, (count, COPIED))
    inputs = np.zeros((count, blank + 2 * COPIED), dtype=np.int64)
    targets = np.zeros_like(inputs)
    inputs[:, :COPIED] = symbols
    inputs[:, -COPIED - 1] = ASK
    targets[:, -COPIED:] = symbols
    return Symbols(inputs, targets, ASK + 1)
