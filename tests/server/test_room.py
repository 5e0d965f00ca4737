import math

import pytest

from server.catalogue import Catalogue
from server.errors import SequencesFull, StateFull
from server.limits import Limits, Totals
from server.room import Room
from server.types import ModelKey
from tests.server.fakes import adder

FIRST, SECOND, OTHER = ModelKey("a", 1), ModelKey("a", 2), ModelKey("b", 1)
SLOT_BYTES = 12


def room_of(limits=None, totals=None, keys=(FIRST, SECOND, OTHER)):
    catalogue = Catalogue()
    for key in keys:
        catalogue.add(adder(key, capacity=100))
    limits = limits or {}
    room = Room(catalogue, lambda name: limits.get(name, Limits(max_sequences=100)), totals or Totals())
    return room, [catalogue[key] for key in keys]


def taken(room, model, count):
    return len(room.take(model, count)[0])


def test_the_slots_of_the_tests_have_the_bytes_that_they_count_with():
    _, [model, *_] = room_of()
    assert model.store.slot_bytes == SLOT_BYTES


def test_there_is_room_within_all_limits():
    room, [first, *_] = room_of()
    slots, _ = room.take(first, 3)
    assert len(set(slots)) == 3
    assert first.store.live == 3


@pytest.mark.parametrize(
    ("limits", "totals", "free", "error", "words"),
    [
        (Limits(max_sequences=4), Totals(), 4, SequencesFull, ["4 sequences", "this model"]),
        (Limits(max_state_bytes=3 * SLOT_BYTES), Totals(), 3, StateFull, ["this model", "36 bytes"]),
        (Limits(max_state_bytes=4 * SLOT_BYTES - 1), Totals(), 3, StateFull, ["this model", "47 bytes"]),
        (Limits(), Totals(max_total_sequences=2), 2, SequencesFull, ["2 sequences", "live here"]),
        (Limits(), Totals(max_total_state_bytes=2 * SLOT_BYTES + 1), 2, StateFull, ["here hold", "25 bytes"]),
        (Limits(max_sequences=5), Totals(max_total_sequences=4), 4, SequencesFull, ["4 sequences"]),
        (Limits(max_sequences=4), Totals(max_total_sequences=5), 4, SequencesFull, ["4 sequences", "this model"]),
        (Limits(max_sequences=9, max_state_bytes=SLOT_BYTES - 1), Totals(), 0, StateFull, ["11 bytes"]),
    ],
)
def test_those_over_the_nearest_limit_are_refused_and_told_which(limits, totals, free, error, words):
    room, [first, *_] = room_of({"a": limits}, totals)
    slots, refusal = room.take(first, 6)
    assert len(slots) == free
    assert type(refusal) is error
    assert [word for word in [*words, "try again later"] if word not in refusal.sentence] == []
    assert taken(room, first, 1) == 0
    if free:
        first.store.release(slots[:1])
        assert taken(room, first, 2) == 1


def test_each_version_counts_its_own_and_each_model_has_its_own_limits():
    room, [first, second, other] = room_of({"a": Limits(max_sequences=2), "b": Limits(max_sequences=3)})
    assert [taken(room, model, 9) for model in (first, second, other)] == [2, 2, 3]


@pytest.mark.parametrize("totals", [Totals(max_total_sequences=5), Totals(max_total_state_bytes=5 * SLOT_BYTES)])
def test_all_models_share_the_totals(totals):
    room, [first, second, other] = room_of(totals=totals)
    assert [taken(room, model, 2) for model in (first, second, other)] == [2, 2, 1]
    assert taken(room, first, 1) == 0


@pytest.mark.parametrize("totals", [Totals(max_total_sequences=3), Totals(max_total_state_bytes=3 * SLOT_BYTES)])
def test_a_sequence_that_moves_takes_the_room_that_it_leaves_on_another_version(totals):
    room, [first, second, _] = room_of(totals=totals)
    taken(room, first, 3)
    assert taken(room, second, 1) == 0
    assert [len(room.take(second, 1, [first] * number)[0]) for number in (1, 2)] == [1, 1]
    assert len(room.take(second, 1, [first] * 2)[0]) == 0, "two leave and two have come"


@pytest.mark.parametrize("limits", [Limits(max_sequences=2), Limits(max_state_bytes=2 * SLOT_BYTES)])
def test_a_version_that_is_full_takes_none_that_moves_either(limits):
    room, [first, second, _] = room_of({"a": limits})
    taken(room, second, 2)
    assert len(room.take(second, 1, [first])[0]) == 0


def test_a_limit_that_is_lowered_below_what_lives_admits_nothing():
    limits = {"a": Limits(max_sequences=9)}
    room, [first, *_] = room_of(limits)
    taken(room, first, 5)
    limits["a"] = Limits(max_sequences=3)
    assert taken(room, first, 1) == 0


def test_new_sequences_are_admitted_while_every_model_has_room():
    room, [first, *_] = room_of({"a": Limits(max_sequences=2)})
    assert room.admits()
    taken(room, first, 1)
    assert room.admits()
    taken(room, first, 1)
    assert not room.admits()


def test_no_model_at_all_has_room():
    assert room_of(keys=())[0].admits(), "nothing is full"


def test_a_store_without_memory_takes_no_sequence_and_says_so(monkeypatch):
    room, [first, *_] = room_of()
    full = StateFull("the device has no memory")

    def refuse(_):
        raise full

    monkeypatch.setattr(first.store, "allocate", refuse)
    assert room.take(first, 2) == ([], full)


@pytest.mark.parametrize(
    ("limits", "totals", "left"),
    [
        (Limits(), Totals(), math.inf),
        (Limits(max_state_bytes=5 * SLOT_BYTES), Totals(), 3 * SLOT_BYTES),
        (Limits(), Totals(max_total_state_bytes=5 * SLOT_BYTES), 2 * SLOT_BYTES),
        (Limits(max_state_bytes=3 * SLOT_BYTES), Totals(max_total_state_bytes=9 * SLOT_BYTES), SLOT_BYTES),
        (Limits(), Totals(max_total_state_bytes=2 * SLOT_BYTES), -SLOT_BYTES),
    ],
)
def test_states_may_grow_within_the_bytes_of_their_model_and_of_all(limits, totals, left):
    room, [first, _, other] = room_of({"a": limits}, totals)
    room.take(first, 2)
    other.store.allocate(1)
    assert room.left("a", first.store) == left
