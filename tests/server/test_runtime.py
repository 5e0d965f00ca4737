import math
from functools import partial

import numpy as np
import pytest

from models.device_array import DeviceArray, on_host
from models.errors import RowsInvalid
from server.runtime import Runtime
from server.stores.device import DeviceRows
from server.stores.memory import MemoryStore
from server.stores.rows import HostRows
from server.types import Batch
from tests.server.fakes import REFUSED, Adder, column, manifest

INITIAL = {"state.sum": np.array([100.0], np.float32), "state.steps": np.zeros(1, np.float32)}


PLACES = {"host": HostRows, "device": partial(DeviceRows, device="cpu")}


class AdderAnywhere(Adder):
    """An adder that leaves states where they come from, as the runner does."""

    def run(self, inputs, lengths, states):
        outputs, next_states = super().run(inputs, lengths, {name: on_host(rows) for name, rows in states.items()})
        if any(isinstance(rows, DeviceArray) for rows in states.values()):
            next_states = {name: DeviceArray.of(rows, "cpu") for name, rows in next_states.items()}
        return outputs, next_states


@pytest.fixture(params=PLACES.values(), ids=PLACES.keys())
def runtime_and_store(request):
    """Make a runtime of an adder, with its states on the host or on a device."""

    def make(**changes):
        described = manifest(**changes)
        store = MemoryStore(INITIAL, described.outputs, capacity=4, place=request.param)
        assert sorted(store.allocate(4)) == [0, 1, 2, 3]
        return Runtime(AdderAnywhere(described), store), store

    return make


def batch(*rows, slots=None, fresh=True):
    time = max(len(row) for row in rows)
    x = np.array([[*row, *[0] * (time - len(row))] for row in rows], np.float32)[..., None]
    lengths = np.array([len(row) for row in rows])
    return Batch(
        slots=np.array(range(len(rows)) if slots is None else slots, np.intp),
        fresh=column(fresh, len(rows), np.bool_),
        inputs={"x": x},
        lengths=lengths,
        positions=lengths,
        numbered=None,
        digests=column(0, len(rows), np.uint64),
        lives=column(0, len(rows), np.uint64),
        time=time,
    )


def kept(store, *slots):
    states = store.gather(np.array(slots), np.zeros(len(slots), np.bool_)).fixed
    return {name: on_host(state).ravel().tolist() for name, state in states.items()}


def test_next_states_are_kept_by_name_in_the_slots_of_their_rows(runtime_and_store):
    runtime, store = runtime_and_store()
    result = runtime.run(batch([1, 2], [5], slots=[3, 0]))
    assert result.finite is None
    assert result.outputs["y"][..., 0].tolist() == [[101, 103], [105, 0]]
    assert kept(store, 3, 0) == {"state.sum": [103, 105], "state.steps": [2, 1]}


def test_a_row_goes_on_from_what_its_slot_holds(runtime_and_store):
    runtime, store = runtime_and_store()
    runtime.run(batch([1], [2]))
    assert runtime.run(batch([10], [20], slots=[1, 0], fresh=False)).outputs["y"].ravel().tolist() == [112, 121]
    assert kept(store, 0, 1) == {"state.sum": [121, 112], "state.steps": [2, 2]}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_only_finite_rows_are_committed(runtime_and_store, bad):
    runtime, store = runtime_and_store()
    runtime.run(batch([1], [2], [3]))
    result = runtime.run(batch([1], [bad], [3], fresh=False))
    assert result.finite is not None
    assert result.finite.tolist() == [True, False, True]
    assert kept(store, 0, 1, 2) == {"state.sum": [102, 102, 106], "state.steps": [2, 1, 2]}


def test_a_state_alone_can_make_a_row_not_finite(runtime_and_store):
    runtime, _ = runtime_and_store()
    runner = runtime._runner
    run = runner.run

    def run_to_infinity(*arguments):
        outputs, next_states = run(*arguments)
        next_states["state.sum"][np.array([1])] = np.array([[np.inf]], np.float32)
        return outputs, next_states

    runner.run = run_to_infinity
    assert runtime.run(batch([1], [2], [3])).finite.tolist() == [True, False, True]


def test_a_model_may_be_allowed_what_is_not_finite(runtime_and_store):
    runtime, store = runtime_and_store(allow_nonfinite=True)
    assert runtime.run(batch([math.inf])).finite is None
    assert kept(store, 0)["state.sum"] == [math.inf]


def test_a_run_that_raises_leaves_all_states(runtime_and_store):
    runtime, store = runtime_and_store()
    runtime.run(batch([1], [2]))
    with pytest.raises(RowsInvalid):
        runtime.run(batch([1], [REFUSED], fresh=False))
    assert kept(store, 0, 1) == {"state.sum": [101, 102], "state.steps": [1, 1]}


def test_how_long_a_batch_takes_is_unknown_at_first_and_then_goes_with_its_padded_steps(runtime_and_store):
    runtime, _ = runtime_and_store()
    assert runtime.expected_seconds(batch([1])) == math.inf
    runtime.run(batch([1, 2], [3]))
    one = runtime.expected_seconds(batch([1]))
    assert 0 < one < math.inf
    assert runtime.expected_seconds(batch([1, 2, 3], [4])) == pytest.approx(6 * one)


def test_every_stage_is_timed(runtime_and_store):
    runtime, _ = runtime_and_store()
    seconds = runtime.run(batch([1])).seconds
    assert seconds.keys() == {"gather", "compute", "scatter"}
    assert all(spent >= 0 for spent in seconds.values())


def test_rows_that_are_not_kept_run_beside_those_that_are_and_write_nothing(runtime_and_store):
    runtime, store = runtime_and_store()
    runtime.run(batch([1], [2], [3], slots=[0, 1, 3]))
    result = runtime.run(batch([5], [7], [9], slots=[-1, 0, -1], fresh=[True, False, True]))
    assert result.outputs["y"].ravel().tolist() == [105, 108, 109]
    assert kept(store, 0, 1, 3) == {"state.sum": [108, 102, 103], "state.steps": [2, 1, 1]}
