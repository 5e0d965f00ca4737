import gc
import logging
import weakref

import pytest

from server.catalogue import Catalogue, ServedModel, Standing, State
from server.retirement import ENDED, Retirement
from server.types import ModelKey

KEY, OTHER = ModelKey("adder", 1), ModelKey("adder", 2)
REASON = "version 2 serves in its place"


class Store:
    """Stands for what a version holds."""


class Living:
    """Sequences as a test counts them."""

    def __init__(self) -> None:
        self.counts: dict[ModelKey, int] = {}
        self.ended: list[tuple[ModelKey, str]] = []
        self.forgotten: set[ModelKey] = set()
        self.survivors = 0

    def live(self, key: ModelKey) -> int:
        return self.counts.get(key, 0)

    async def end_all(self, key: ModelKey, how: str) -> None:
        if self.live(key):
            self.ended.append((key, how))
        self.forgotten.add(key)
        self.counts[key] = self.survivors


class Retiring:
    """Two versions that serve, a hand clock, and what was told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[ModelKey, State | None]] = []
        self.catalogue = Catalogue()
        self.living = Living()
        self.refused: set[ModelKey] = set()
        for key in (KEY, OTHER):
            self.catalogue.add(ServedModel(key, None, None, Store()))
        self.retirement = Retirement(self.catalogue, self.living, changed=self.changed, clock=lambda: self.now)

    async def changed(self, key: ModelKey) -> None:
        if key in self.refused:
            raise RuntimeError(key)
        self.told.append((key, self.catalogue.state(key)))

    def state(self, key: ModelKey = KEY) -> State | None:
        return self.catalogue.state(key)


@pytest.fixture
def retiring():
    return Retiring()


async def test_a_version_stays_while_a_sequence_lives_and_goes_with_the_last(retiring):
    retiring.living.counts[KEY] = 1
    await retiring.retirement.retire(KEY, REASON)
    retiring.now = 1e9
    await retiring.retirement.sweep()
    assert (retiring.state(), retiring.living.ended) == (State.RETIRING, [])
    retiring.living.counts[KEY] = 0
    assert KEY not in retiring.living.forgotten
    await retiring.retirement.sweep()
    assert KEY in retiring.living.forgotten
    assert retiring.catalogue.standings()[KEY] == Standing(State.UNLOADED, REASON)
    assert retiring.state(OTHER) is State.SERVING
    assert retiring.told == [(KEY, State.RETIRING), (KEY, State.UNLOADED)]


async def test_its_memory_is_freed(retiring):
    held = weakref.ref(retiring.catalogue[KEY].store)
    gc.disable()
    try:
        await retiring.retirement.retire(KEY, REASON)
        assert held() is not None
        await retiring.retirement.sweep()
        assert held() is None
    finally:
        gc.enable()


async def test_what_lives_at_the_deadline_is_ended_as_gone(retiring):
    retiring.living.counts[KEY] = 3
    await retiring.retirement.retire(KEY, REASON, within=10.0)
    retiring.now = 9.9
    await retiring.retirement.sweep()
    assert (retiring.state(), retiring.living.ended) == (State.RETIRING, [])
    retiring.now = 10.0
    await retiring.retirement.sweep()
    assert (retiring.state(), retiring.living.ended) == (State.UNLOADED, [(KEY, ENDED)])


async def test_what_runs_at_the_deadline_is_waited_for(retiring):
    retiring.living.counts[KEY], retiring.living.survivors = 3, 1
    await retiring.retirement.retire(KEY, REASON, within=0.0)
    await retiring.retirement.sweep()
    assert retiring.state() is State.RETIRING
    retiring.living.survivors = 0
    await retiring.retirement.sweep()
    assert retiring.state() is State.UNLOADED


async def test_the_earlier_deadline_holds(retiring):
    retiring.living.counts[KEY] = 1
    await retiring.retirement.retire(KEY, REASON, within=10.0)
    retiring.now = 5.0
    await retiring.retirement.retire(KEY, REASON, within=10.0)
    retiring.now = 10.0
    await retiring.retirement.sweep()
    assert retiring.state() is State.UNLOADED


async def test_a_version_that_serves_again_is_not_unloaded(retiring):
    await retiring.retirement.retire(KEY, REASON, within=0.0)
    await retiring.retirement.revive(KEY)
    await retiring.retirement.sweep()
    assert retiring.state() is State.SERVING
    assert retiring.told == [(KEY, State.RETIRING), (KEY, State.SERVING)]


async def test_a_version_whose_end_fails_keeps_no_other_one(retiring, caplog):
    for key in (KEY, OTHER):
        await retiring.retirement.retire(key, REASON)
    retiring.refused.add(KEY)
    await retiring.retirement.sweep()
    assert retiring.state(OTHER) is State.UNLOADED
    assert [record.model for record in caplog.records if record.levelno == logging.ERROR] == ["adder"]
