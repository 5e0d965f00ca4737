import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.roster import Roster, Rosters
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
