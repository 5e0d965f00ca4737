import numpy as np
import pytest

from server.errors import InvalidRequest, SequenceExists, SequenceGone, SequencesFull, VersionMismatch
from server.judge import MANY, Judge
from server.limits import Totals
from server.types import NOWHERE, UNNUMBERED, ModelKey
from tests.server.fakes import ADDER, SCOPE, Server, chunk

SECOND = ModelKey(ADDER.name, 2)


class Court:
    """A judge beside two sequences: "a" at step 5, of no life, and "b" at step 7, of the life 9."""

    def __init__(self, **limits) -> None:
        self.server = Server(**limits)
        sessions = self.server.sessions
        self.rosters, self.past = sessions._rosters, sessions._past
        self.judge = Judge(self.server.catalogue, self.rosters, self.past, self.server.room, clock=self.server.clock)
        self.model = self.server.catalogue[ADDER]
        self.slots = dict(zip("ab", self.model.store.allocate(2), strict=True))
        for sequence, position, life in (("a", 5, 0), ("b", 7, 9)):
            slot = self.slots[sequence]
            self.rosters.of(ADDER).enter(SCOPE, sequence, slot)
            records = self.model.store.records
            records.position[slot], records.life[slot], records.length[slot] = position, life, UNNUMBERED

    def begin(self, *chunks):
        return self.judge.begin(chunks)


def kinds(turn):
    return {row: type(error) for row, error in turn.errors.items()}


def test_rows_that_go_on_stand_where_they_will_be():
    court = Court()
    turn = court.begin(chunk([1, 2], [3], ids="ba"))
    assert turn.slots.tolist() == [court.slots["b"], court.slots["a"]]
    assert (turn.before.tolist(), turn.positions.tolist()) == ([7, 5], [9, 6])
    assert turn.lives.tolist() == [9, 0]
    assert (turn.fresh.tolist(), turn.errors, turn.replays, turn.created) == ([False, False], {}, {}, [])
    assert turn.running().tolist() == [0, 1]


@pytest.mark.parametrize("step", [UNNUMBERED, 7])
def test_a_row_that_names_its_life_or_none_goes_on_with_it(step):
    court = Court()
    for life in (0, 9):
        turn = court.begin(chunk([1], ids="b", step=step, lives=np.array([life], np.uint64)))
        assert (kinds(turn), turn.lives.tolist(), turn.positions.tolist()) == ({}, [9], [8])


def test_only_rows_that_are_counted_are_digested():
    court = Court()
    turn = court.begin(chunk([1], ids="a", step=5), chunk([1], ids="b"))
    assert turn.numbered.tolist() == [True, False]
    assert turn.digests[0] != 0
    assert court.begin(chunk([1], ids="a")).digests.tolist() == [0]


@pytest.mark.parametrize("others", [[], [chunk([1], ids="b", plain=True)], [chunk([1])]])
def test_rows_of_many_sequences_stand_in_their_slots_whatever_is_beside_them(others):
    court = Court(capacity=2 * MANY)
    ids = tuple(range(1, MANY + 1))
    for sequence, slot in zip(ids, court.model.store.allocate(MANY), strict=True):
        court.rosters.of(ADDER).enter(SCOPE, sequence, slot)
    asked = chunk(*[[1.0]] * MANY, ids=ids, plain=True)
    slots = [court.rosters.of(ADDER).of(SCOPE)[sequence] for sequence in ids]
    beside = [court.slots["b"] if other.ids else NOWHERE for other in others]
    for _ in range(2):
        turn = court.begin(asked, *others)
        assert turn.slots.tolist() == [*slots, *beside]
        assert turn.positions.tolist() == [*[1] * MANY, *[8 if other.ids else 1 for other in others]]
    court.rosters.of(ADDER).leave(SCOPE, ids[3])
    turn = court.begin(asked)
    assert (turn.slots.item(3), kinds(turn)) == (NOWHERE, {3: SequenceGone})


def test_rows_that_are_not_kept_begin_anew_beside_those_that_are():
    court = Court()
    turn = court.begin(chunk([1], [2, 3]), chunk([1], ids="a"))
    assert turn.slots.tolist() == [NOWHERE, NOWHERE, court.slots["a"]]
    assert (turn.fresh.tolist(), turn.positions.tolist()) == ([True, True, False], [1, 2, 6])
    assert (turn.errors, turn.created) == ({}, [])


def test_a_start_takes_a_slot_and_nothing_else_is_changed():
    court = Court()
    turn = court.begin(chunk([1, 2], ids=["new"], start=True, lives=np.array([4], np.uint64)))
    assert turn.created == [0]
    assert turn.slots[0] not in (NOWHERE, *court.slots.values())
    assert (turn.fresh.tolist(), turn.positions.tolist(), turn.lives.tolist()) == ([True], [2], [4])
    assert court.rosters.version(SCOPE, "new") is None
    assert court.model.store.live == 3


def test_a_start_on_a_live_sequence_begins_it_anew_in_its_slot():
    court = Court()
    turn = court.begin(chunk([1, 2], ids="b", start=True))
    assert (turn.slots.tolist(), turn.created) == ([court.slots["b"]], [])
    assert (turn.fresh.tolist(), turn.before.tolist(), turn.positions.tolist()) == ([True], [7], [2])
    assert turn.lives.tolist() == [0], "a new life that names none"


def test_there_is_room_for_the_first_of_new_sequences_and_the_others_are_told():
    court = Court(max_sequences=4)
    turn = court.begin(chunk(*[[1]] * 3, ids=["x", "y", "z"], start=True), chunk([1], ids="a"))
    assert turn.created == [0, 1]
    assert kinds(turn) == {2: SequencesFull}
    assert (turn.slots[2], turn.positions.tolist()) == (NOWHERE, [1, 1, 0, 6])
    assert court.model.store.live == 4


def test_a_refused_row_takes_no_slot_and_stands_where_it_was():
    court = Court()
    turn = court.begin(chunk(*[[1]] * 4, ids=["a", "b", "x", "y"], start=[True, True, True, False], step=[0, 3, 1, 8]))
    assert kinds(turn) == {0: SequenceExists, 1: InvalidRequest, 2: InvalidRequest, 3: SequenceGone}
    assert (turn.positions.tolist(), turn.created, court.model.store.live) == ([5, 7, 0, 0], [], 2)
    assert turn.running().tolist() == []


@pytest.mark.parametrize(("start", "step"), [(False, UNNUMBERED), (False, 5), (True, 0)])
def test_a_sequence_of_another_version_is_told_which(start, step):
    court = Court()
    court.server.publish(SECOND)
    turn = court.begin(chunk([1], ids="a", model=SECOND, start=start, step=step))
    assert kinds(turn) == {0: VersionMismatch}
    assert all(word in turn.errors[0].sentence for word in ("version 1", "version 2", "leave the version out"))
    assert court.server.live(SECOND) == 0


def test_a_start_that_is_not_counted_moves_to_its_version():
    court = Court()
    court.server.publish(SECOND)
    turn = court.begin(chunk([1], ids="a", model=SECOND, start=True))
    assert (kinds(turn), turn.created, court.server.live(SECOND)) == ({}, [0], 1)


def test_sequences_that_move_take_their_own_room_and_leave_none_for_others():
    court = Court(totals=Totals(max_total_sequences=2))
    court.server.publish(SECOND)
    turn = court.begin(chunk(*[[1]] * 3, ids=["new", "a", "b"], model=SECOND, start=True))
    assert (turn.created, kinds(turn)) == ([1, 2], {0: SequencesFull})
    assert (court.server.live(ADDER), court.server.live(SECOND)) == (2, 2), "until the turn is committed"


def test_ids_and_tenants_are_told_apart():
    court = Court()
    turn = court.begin(chunk([1], ids="a", scope=SCOPE._replace(tenant="t")))
    assert kinds(turn) == {0: SequenceGone}
