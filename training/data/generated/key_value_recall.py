"""Key-value recall: pairs are shown once, and then every key is asked for its value, in another order.

In the manner of S. Arora et al. Zoology: Measuring and Improving Recall in Efficient Language Models. arXiv:2312.04927,
2023, with a pair at a step. A step is two symbols: of n pairs of different keys k below `kinds` and values v from
`kinds` to 2 `kinds` - 1, and with _ for 2 `kinds`,

    x = (k[1], v[1]) ... (k[n], v[n])  (k[p(1)], _) ... (k[p(n)], _),
    y = 0 ... 0                        v[p(1)] ... v[p(n)],

targets counting values from 1. Without memory the cross entropy is ln(kinds) / 2.
"""

import numpy as np

from training.data.series import Symbols


def make_key_value_recall(seed: int, count: int, pairs: int, kinds: int) -> Symbols:
    """Make inputs `[count, 2 pairs, 2]` and targets `[count, 2 pairs]`; raises ValueError for more pairs than keys."""
    if pairs > kinds:
        raise ValueError(f"{pairs} pairs need as many different keys, and there are {kinds}")
    random = np.random.default_rng(seed)
    keys = random.permuted(np.tile(np.arange(kinds), (count, 1)), axis=1)[:, :pairs]
    values = random.integers(kinds, 2 * kinds, (count, pairs))
    order = random.permuted(np.tile(np.arange(pairs), (count, 1)), axis=1)
    asked, wanted = (np.take_along_axis(of, order, 1) for of in (keys, values))
    shown = np.stack([keys, values], -1)
    questions = np.stack([asked, np.full_like(asked, 2 * kinds)], -1)
    targets = np.concatenate([np.zeros_like(wanted), wanted - kinds + 1], 1)
    return Symbols(np.concatenate([shown, questions], 1), targets, 2 * kinds + 1)
