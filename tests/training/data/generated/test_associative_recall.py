from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.generated.associative_recall import ITEM, QUERY, make_associative_recall


@given(seed=st.integers(0, 2**32), n=st.integers(2, 20))
def test_the_item_after_the_one_shown_again_is_asked_for(seed, n):
    for one in make_associative_recall(seed, 3, [n]):
        assert one.inputs.shape == (4 * n + 8, 8)
        assert one.inputs[:, ITEM].nonzero()[0].tolist() == [4 * at for at in range(n)]
        assert one.inputs[:, QUERY].nonzero()[0].tolist() == [4 * n, 4 * n + 4]
        assert not one.inputs[one.inputs[:, ITEM:].any(1), :ITEM].any()
        items = one.inputs[: 4 * n].reshape(n, 4, 8)[:, 1:, :ITEM]
        shown, asked = one.inputs[4 * n + 1 : 4 * n + 4, :ITEM], one.targets[-3:]
        assert any(np.array_equal(item, shown) and np.array_equal(after, asked) for item, after in pairwise(items))
        assert not one.inputs[-3:].any()
        assert np.isnan(one.targets[:-3]).all()
        assert one.asked == 3


def test_every_item_but_the_last_may_be_the_one():
    places = set()
    for one in make_associative_recall(0, 200, [4]):
        items, shown = one.inputs[:16].reshape(4, 4, 8)[:, 1:, :ITEM], one.inputs[17:20, :ITEM]
        places |= {at for at, item in enumerate(items) if np.array_equal(item, shown)}
    assert places == {0, 1, 2}
