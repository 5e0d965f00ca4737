import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.roster import REMEMBERED, Roster, Rosters
from server.types import ModelKey, Scope

A, OTHER_TENANT, B = Scope("", "a"), Scope("t", "a"), Scope("", "b")
FIRST, SECOND, ELSE = ModelKey("a", 1), ModelKey("a", 2), ModelKey("b", 1)


def test_who_enters_is_found_by_id_and_by_slot():
    roster = Roster()
    roster.enter(A, 5, 3)
    roster.enter(A, "5", 0)
    roster.enter(OTHER_TENANT, 5, 1)
    assert (roster.of(A), roster.of(OTHER_TENANT), roster.of(B)) == ({5: 3, "5": 0}, {5: 1}, {})
    assert [roster.who(slot) for slot in (3, 0, 1)] == [(A, 5), (A, "5"), (OTHER_TENANT, 5)]
    assert len(roster) == 3


def test_who_leaves_is_gone_from_both_sides():
    roster = Roster()
    roster.enter(A, 5, 3)
    assert roster.leave(A, 5) == 3
    assert (len(roster), roster.of(A), roster.everyone()) == (0, {}, [])
    with pytest.raises(KeyError):
        roster.who(3)
    with pytest.raises(KeyError):
        roster.leave(A, 5)


@given(st.lists(st.tuples(st.sampled_from([A, B, OTHER_TENANT]), st.sampled_from([1, 2, "1", "2"]), st.booleans())))
def test_any_order_of_entering_and_leaving_keeps_both_sides_alike(events):
    roster, expected, free = Roster(), {}, list(range(20))
    for scope, sequence, enters in events:
        if enters and (scope, sequence) not in expected:
            expected[scope, sequence] = free.pop()
            roster.enter(scope, sequence, expected[scope, sequence])
        elif not enters and (scope, sequence) in expected:
            free.append(roster.leave(scope, sequence))
            assert expected.pop((scope, sequence)) == free[-1]
        assert len(roster) == len(expected)
        assert sorted(roster.everyone(), key=repr) == sorted(expected, key=repr)
        assert all(roster.who(slot) == who for who, slot in expected.items())


def test_slots_are_given_where_all_live_and_in_the_order_asked():
    roster = Roster()
    for slot, sequence in enumerate([5, "5", 7]):
        roster.enter(A, sequence, slot)
    assert roster.slots(A, (7, 5)).tolist() == [2, 0]
    assert roster.slots(A, (5, 6)) is None
    assert roster.slots(B, (7, 5)) is None


@given(st.lists(st.tuples(st.sampled_from([A, B]), st.sampled_from([1, 2, 3]), st.booleans()), max_size=12))
def test_slots_that_are_asked_for_again_are_those_of_who_lives_there_now(events):
    roster, free = Roster(), list(range(20))
    asked = [(1, 2), (2, 1), (3,)]
    for scope, sequence, enters in events:
        if enters and sequence not in roster.of(scope):
            roster.enter(scope, sequence, free.pop())
        elif not enters and sequence in roster.of(scope):
            roster.leave(scope, sequence)
        for found in [(scope, ids) for scope in (A, B) for ids in asked]:
            of, slots = roster.of(found[0]), roster.slots(*found)
            expected = [of[id_] for id_ in found[1]] if of.keys() >= set(found[1]) else None
            assert (None if slots is None else slots.tolist()) == expected


def test_what_is_remembered_of_requests_ends():
    roster = Roster()
    roster.enter(A, 5, 3)
    for _ in range(REMEMBERED + 2):
        assert roster.slots(A, (5,) * 2).tolist() == [3, 3]
    assert len(roster._found) <= REMEMBERED


def test_a_sequence_is_found_on_the_version_it_lives_on():
    rosters = Rosters()
    rosters.of(FIRST).enter(A, 5, 0)
    rosters.of(SECOND).enter(A, "5", 0)
    rosters.of(ELSE).enter(B, 5, 0)
    assert (rosters.version(A, 5), rosters.version(A, "5"), rosters.version(A, 6)) == (FIRST, SECOND, None)
    assert (rosters.version(B, 5), rosters.version(OTHER_TENANT, 5)) == (ELSE, None)
    assert len(rosters) == 3
    assert [key for key, _ in rosters.items()] == [FIRST, SECOND, ELSE]


def test_a_version_is_alone_until_another_of_its_model_has_sequences():
    rosters = Rosters()
    assert rosters.alone(FIRST)
    rosters.of(FIRST)
    rosters.of(ELSE)
    assert rosters.alone(FIRST)
    assert not rosters.alone(SECOND)
    rosters.of(SECOND)
    assert not rosters.alone(FIRST)
    rosters.drop(FIRST)
    assert rosters.alone(SECOND)


def test_a_version_that_was_dropped_is_forgotten():
    rosters = Rosters()
    rosters.of(FIRST).enter(A, 5, 0)
    assert FIRST in rosters
    rosters.drop(FIRST)
    rosters.drop(SECOND)
    assert FIRST not in rosters
    assert (len(rosters), rosters.version(A, 5)) == (0, None)
