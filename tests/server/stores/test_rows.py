import numpy as np
import pytest

from models.device_array import on_host
from server.columns import no_flags
from server.stores.rows import MANY, HostRows

CAPACITY = 2 * MANY
INITIAL = {"h": np.array([0.5, -0.5], np.float32)}
ORDER = list(range(3, 3 + MANY))


def swapped(places, one, other):
    """The places, two of them changed for each other."""
    changed = list(places)
    changed[one], changed[other] = changed[other], changed[one]
    return changed


SLOTS = {
    "one after another": ORDER,
    "from the first": list(range(MANY)),
    "another order between the same ends": swapped(ORDER, 1, 2),
    "backwards": ORDER[::-1],
    "one left out": [*ORDER[:-1], ORDER[-1] + 1],
    "few": ORDER[: MANY - 1],
}


def column(numbers):
    return np.array(numbers, np.float32)[:, None] * [1, -1]


@pytest.mark.parametrize("slots", SLOTS.values(), ids=SLOTS.keys())
def test_rows_are_where_their_slots_say_whatever_the_order(slots):
    rows = HostRows(INITIAL, CAPACITY)
    rows.put(np.arange(CAPACITY), {"h": column(range(CAPACITY)).astype(np.float32)})
    asked = np.array(slots, np.intp)
    for added in (0, 100):  # the same slots are asked for, and written to, again
        taken = on_host(rows.take(asked, no_flags(len(asked)))["h"])
        np.testing.assert_array_equal(taken, column([slot + added for slot in slots]))
        rows.put(asked, {"h": column([slot + added + 100 for slot in slots]).astype(np.float32)})
    left = [slot + 200 * (slot in slots) for slot in range(CAPACITY)]
    np.testing.assert_array_equal(on_host(rows.take(np.arange(CAPACITY), no_flags(CAPACITY))["h"]), column(left))


def test_rows_that_begin_are_the_initial_state_though_their_slots_follow_one_another():
    rows = HostRows(INITIAL, CAPACITY)
    fresh = np.zeros(MANY, np.bool_)
    fresh[2] = True
    taken = on_host(rows.take(np.arange(MANY), fresh)["h"])
    np.testing.assert_array_equal(taken[2], INITIAL["h"])
    assert not taken[[row for row in range(MANY) if row != 2]].any()
