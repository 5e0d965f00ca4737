from typing import NamedTuple

import numpy as np
import pytest

from server.digest import life_of
from server.errors import (
    Fenced,
    InvalidRequest,
    SequenceExists,
    SequenceGone,
    SequencesFull,
    StepAlreadyApplied,
    StepConflict,
    StepGap,
)
from server.exactly_once import Asked, Ended, Verdict, decide
from server.types import UNNUMBERED, Answer, Record, Stored
from tests.server.fakes import ADDER, SCOPE, Server, result

LIVE = Record(position=7, length=2, digest=11, life=5)
ENDED = Ended("has ended", 99.0, ADDER, LIVE, Stored({"y": np.zeros(2, np.float32)}, 7))
UNCOUNTED = Record(position=7, length=UNNUMBERED, digest=0, life=0)
EMPTY_START = Record(position=0, length=0, digest=11, life=0)


def asked(step=UNNUMBERED, *, start=False, life=0, digest=11):
    return Asked(start, step, life, digest)


# The rows of the table in order; the first that matches wins.
RUNS = {
    "ended, the same again": (asked(5, life=5), None, ENDED, Verdict.REPLAY),
    "ended, the same again, whose life was named before": (asked(5), None, ENDED, Verdict.REPLAY),
    "ended, the same start again": (
        asked(0, start=True),
        None,
        ENDED._replace(record=Record(2, 2, 11, 0)),
        Verdict.REPLAY,
    ),
    "ended, its start again in another life": (
        asked(0, start=True, life=6),
        None,
        ENDED._replace(record=Record(2, 2, 11, 5)),
        Verdict.CREATE,
    ),
    "ended, a start that names no life after one that did": (
        asked(0, start=True),
        None,
        ENDED._replace(record=Record(2, 2, 11, 5)),
        Verdict.CREATE,
    ),
    "ended, a start with other inputs": (
        asked(0, start=True, digest=12),
        None,
        ENDED._replace(record=Record(2, 2, 11, 0)),
        Verdict.CREATE,
    ),
    "ended and not counted, a start": (asked(0, start=True), None, ENDED._replace(record=None), Verdict.CREATE),
    "absent, a start": (asked(0, start=True), None, None, Verdict.CREATE),
    "absent, a start that is not counted": (asked(start=True), None, None, Verdict.CREATE),
    "ended, a start that is not counted": (asked(start=True), None, ENDED, Verdict.CREATE),
    "live, the last step again": (asked(5), LIVE, None, Verdict.REPLAY),
    "live, the last step again by its life": (asked(5, life=5), LIVE, None, Verdict.REPLAY),
    "live, its start again": (asked(0, start=True), Record(2, 2, 11, 0), None, Verdict.REPLAY),
    "live, a start of no steps again": (asked(0, start=True), EMPTY_START, None, Verdict.REPLAY),
    "live, the step after a start of no steps": (asked(0, digest=12), EMPTY_START, None, Verdict.RUN),
    "live, the next step": (asked(7), LIVE, None, Verdict.RUN),
    "live, the next step by its life": (asked(7, life=5), LIVE, None, Verdict.RUN),
    "live, the next step after one that was not counted": (asked(7), UNCOUNTED, None, Verdict.RUN),
    "live, a step that is not counted": (asked(), LIVE, None, Verdict.RUN),
    "live, a start that is not counted": (asked(start=True), LIVE, None, Verdict.ANEW),
    "live, a start that is not counted, of another life": (asked(start=True, life=6), LIVE, None, Verdict.ANEW),
}
REFUSALS = {
    "a start at a later step": (asked(1, start=True), None, None, InvalidRequest, None),
    "a start at a later step of a live one": (asked(5, start=True), LIVE, None, InvalidRequest, None),
    "a start at a later step, ended": (asked(5, start=True, life=5), None, ENDED, InvalidRequest, None),
    "absent, no start": (asked(0), None, None, SequenceGone, None),
    "absent, no start, not counted": (asked(), None, None, SequenceGone, None),
    "ended, not counted": (asked(), None, ENDED, SequenceGone, None),
    "ended, another life": (asked(5, life=6), None, ENDED, SequenceGone, None),
    "ended, another step": (asked(7, life=5), None, ENDED, SequenceGone, None),
    "ended, other inputs": (asked(5, life=5, digest=12), None, ENDED, SequenceGone, None),
    "ended, its answer kept no more": (asked(5, life=5), None, ENDED._replace(record=None), SequenceGone, None),
    "ended, its last request not counted": (asked(8), None, ENDED._replace(record=UNCOUNTED), SequenceGone, None),
    "live, another life": (asked(7, life=6), LIVE, None, Fenced, 7),
    "live, another life, the last step again": (asked(5, life=6), LIVE, None, Fenced, 7),
    "live, another life, a start": (asked(0, start=True, life=6), LIVE, None, Fenced, 7),
    "live, another life, not counted": (asked(life=6), LIVE, None, Fenced, 7),
    "live, the last step with other inputs": (asked(5, digest=12), LIVE, None, StepConflict, 7),
    "live, its start with other inputs": (asked(0, start=True, digest=12), Record(2, 2, 11, 0), None, StepConflict, 2),
    "live, a start": (asked(0, start=True), LIVE, None, SequenceExists, 7),
    "live, a start of no steps with other inputs": (
        asked(0, start=True, digest=12),
        EMPTY_START,
        None,
        SequenceExists,
        0,
    ),
    "live, an earlier step": (asked(6), LIVE, None, StepAlreadyApplied, 7),
    "live, the first step": (asked(0), LIVE, None, StepAlreadyApplied, 7),
    "live, the last step, which was not counted": (asked(6), UNCOUNTED, None, StepAlreadyApplied, 7),
    "live, a later step": (asked(8), LIVE, None, StepGap, 7),
    "live, a step far away": (asked(2**63 - 1), LIVE, None, StepGap, 7),
}


@pytest.mark.parametrize(("row", "live", "ended", "verdict"), RUNS.values(), ids=RUNS.keys())
def test_what_is_done(row, live, ended, verdict):
    assert decide(row, live, ended, "sequence 5") is verdict


@pytest.mark.parametrize(("row", "live", "ended", "error", "position"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_is_refused_and_where_the_sequence_stands(row, live, ended, error, position):
    with pytest.raises(error) as refused:
        decide(row, live, ended, "sequence 5")
    assert type(refused.value) is error
    assert refused.value.position == position
    assert refused.value.sentence.startswith("sequence 5 ")


@pytest.mark.parametrize(
    ("ended", "how"), [(ENDED, "has ended"), (ENDED._replace(how="expired", record=None), "expired"), (None, "unknown")]
)
def test_what_is_gone_is_told_how(ended, how):
    with pytest.raises(SequenceGone, match=how):
        decide(asked(99), None, ended, "sequence 5")


def test_the_bytes_of_what_ended_are_those_of_its_answer():
    assert (ENDED.bytes, ENDED._replace(stored=None).bytes) == (8, 0)


class Request(NamedTuple):
    """A request for the sequence "s"."""

    x: list[float]
    step: int = UNNUMBERED
    start: bool = False
    end: bool = False
    incarnation: str = ""
    after_seconds: float = 0.0

    def options(self) -> dict:
        return {"step": self.step, "start": self.start, "end": self.end, "incarnation": self.incarnation}


START = Request([1, 2], 0, start=True)
NEXT = Request([3], 2)
LONG = Request([3, 4, 5], 2)
END = Request([4], 2, end=True)
WHOLE = Request([1, 2], 0, start=True, end=True)
NAMED = Request([1, 2], 0, start=True, incarnation="first")

# What was done before, what is asked, and what comes of it: the sums of an answer, whether it is the stored one, and
# where the sequence stands then; or an error and the position that it tells.
STORIES: dict[str, tuple] = {
    "absent, START": ([], START, [101, 103], False, 2),
    "absent, START, of a life": ([], NAMED, [101, 103], False, 2),
    "absent, no START": ([], NEXT, SequenceGone, None, 0),
    "START with a step": ([], START._replace(step=1), InvalidRequest, None, 0),
    "START with a step, live": ([START], START._replace(step=2), InvalidRequest, None, 2),
    "START again": ([START], START, [101, 103], True, 2),
    "START again, later": ([START, NEXT], START, SequenceExists, None, 3),
    "START with other inputs": ([START], START._replace(x=[1, 3]), StepConflict, None, 2),
    "START with END now": ([START], WHOLE, StepConflict, None, 2),
    "the next step": ([START], NEXT, [106], False, 3),
    "the next step, not counted": ([START], NEXT._replace(step=UNNUMBERED), [106], False, 3),
    "the last step again": ([START, NEXT], NEXT, [106], True, 3),
    "the last step again, late": ([START, NEXT], NEXT._replace(after_seconds=59.0), [106], True, 3),
    "several steps again": ([START, LONG], LONG, [106, 110, 115], True, 5),
    "several steps again, fewer of them": ([START, LONG], LONG._replace(x=[3]), StepConflict, None, 5),
    "part of the last step": ([START, LONG], Request([5], 4), StepAlreadyApplied, None, 5),
    "the last step with other inputs": ([START, NEXT], NEXT._replace(x=[4]), StepConflict, None, 3),
    "the last step, to end now": ([START, NEXT], NEXT._replace(end=True), StepConflict, None, 3),
    "an earlier step": ([START, NEXT], Request([2], 1), StepAlreadyApplied, None, 3),
    "the last step after one not counted": (
        [START, NEXT, Request([1])],
        NEXT,
        StepAlreadyApplied,
        None,
        4,
    ),
    "a step ahead": ([START], Request([3], 4), StepGap, None, 2),
    "a step far ahead": ([START], Request([3], 2**63 - 1), StepGap, None, 2),
    "another life": ([NAMED], NEXT._replace(incarnation="second"), Fenced, None, 2),
    "another life starts": ([NAMED], START._replace(incarnation="second"), Fenced, None, 2),
    "another life, not counted": ([NAMED], Request([3], incarnation="second"), Fenced, None, 2),
    "the same life": ([NAMED], NEXT._replace(incarnation="first"), [106], False, 3),
    "the same life, not named": ([NAMED], NEXT, [106], False, 3),
    "the same life again": ([NAMED], NAMED, [101, 103], True, 2),
    "a life where none was named": ([START], NEXT._replace(incarnation="first"), Fenced, None, 2),
    "ended, the end again": ([START, END], END, [107], True, 3),
    "ended, the end of several steps again": (
        [START, LONG._replace(end=True)],
        LONG._replace(end=True),
        [106, 110, 115],
        True,
        5,
    ),
    "ended, the end again, late": ([START, END], END._replace(after_seconds=59.0), [107], True, 3),
    "ended, the end again, too late": ([START, END], END._replace(after_seconds=60.0), SequenceGone, None, 0),
    "ended, the end with other inputs": ([START, END], END._replace(x=[5]), SequenceGone, None, 0),
    "ended, the step before the end again": ([START, NEXT, END._replace(step=3)], NEXT, SequenceGone, None, 0),
    "ended, the step after": ([START, END], Request([1], 3), SequenceGone, None, 0),
    "ended, a whole sequence again": ([WHOLE], WHOLE, [101, 103], True, 2),
    "ended, a whole sequence with other inputs": ([WHOLE], WHOLE._replace(x=[5]), [105], False, 1),
    "ended, START": ([START, END], START, [101, 103], False, 2),
    "ended, the end again by its life": (
        [NAMED, END._replace(incarnation="first")],
        END._replace(incarnation="first"),
        [107],
        True,
        3,
    ),
    "ended, the end again, which named no life": ([NAMED, END], END, [107], True, 3),
    "ended, the end again of another life": ([NAMED, END], END._replace(incarnation="second"), SequenceGone, None, 0),
    "begun again, the old end": ([START, END, START], END, [107], False, 3),
    "begun again in another life, the old end": (
        [NAMED, END, NAMED._replace(incarnation="second")],
        END._replace(incarnation="first"),
        Fenced,
        None,
        2,
    ),
    "begun anew, not counted": ([START], Request([7], start=True), [107], False, 1),
    "begun anew, not counted, then counted": ([START, Request([7], start=True)], Request([1], 1), [108], False, 2),
    "not counted, absent": ([], Request([7]), SequenceGone, None, 0),
}


async def tell(server, story):
    for request in story:
        assert isinstance(await result(server.ask(request.x, sequence="s", **request.options())), Answer)


def standing(server):
    """Where every sequence stands: records, states and what is remembered of the ended."""
    model = server.catalogue[ADDER]
    roster = server.sessions._rosters.of(ADDER)
    slots = [roster.of(scope)[sequence] for scope, sequence in roster.everyone()]
    states = model.store.gather(np.array(slots, np.intp), np.zeros(len(slots), np.bool_)).fixed
    return [model.store.records[slot] for slot in slots], {name: state.tolist() for name, state in states.items()}


@pytest.mark.parametrize(("before", "request_", "outcome", "again", "position"), STORIES.values(), ids=STORIES.keys())
async def test_a_request_is_applied_exactly_once(before, request_, outcome, again, position):
    server = Server(idle_seconds=1e6)
    async with server.running():
        await tell(server, before)
        stood = standing(server)
        server.clock.now += request_.after_seconds
        answer = await result(server.ask(request_.x, sequence="s", **request_.options()))
        if isinstance(outcome, list):
            assert answer.outputs["y"][0, :, 0].tolist() == outcome
            assert answer.positions.tolist() == [position]
            assert bool(answer.replayed is not None and answer.replayed[0]) is again
        else:
            assert type(answer) is outcome
            assert answer.position in (position, None)
        if again or not isinstance(outcome, list):
            assert standing(server) == stood


@pytest.mark.parametrize(("before", "request_", "outcome", "again", "position"), STORIES.values(), ids=STORIES.keys())
async def test_a_row_among_others_is_applied_exactly_once(before, request_, outcome, again, position):
    server = Server(idle_seconds=1e6)
    async with server.running():
        await tell(server, before)
        await result(server.ask([10], sequence="t", start=True))
        server.clock.now += request_.after_seconds
        asked_ = server.ask_many(
            ["u", "s", "t"],
            [5, 6, 7, 8],
            request_.x,
            [20],
            step=[0, request_.step, UNNUMBERED],
            start=[True, request_.start, False],
            end=[False, request_.end, False],
            lives=np.array([0, life_of(request_.incarnation), 0], np.uint64),
        )
        answer = await result(asked_)
        sums = answer.outputs["y"][..., 0].tolist()
        replayed = [False] * 3 if answer.replayed is None else answer.replayed.tolist()
        assert (sums[0], sums[2]) == ([105, 111, 118, 126], [130, 0, 0, 0])
        assert answer.positions.tolist() == [4, position, 2]
        if isinstance(outcome, list):
            assert sums[1] == outcome + [0] * (4 - len(outcome))
            assert answer.errors == {}
            assert replayed == [False, again, False]
        else:
            assert {row: type(error) for row, error in answer.errors.items()} == {1: outcome}
            assert sums[1] == [0] * 4
            assert not any(replayed)


@pytest.mark.parametrize("limit", [{"max_sequences": 1}, {"max_state_bytes": 12}])
async def test_a_new_sequence_at_the_limit_is_refused_at_once_with_a_hint_and_can_be_sent_again(limit):
    server = Server(**limit)
    async with server.running():
        await result(server.ask([1], sequence="other", start=True, step=0))
        error = await result(server.ask(START.x, sequence="s", **START.options()))
        assert error.code is SequencesFull.code
        assert error.retry_after_seconds
        await result(server.ask([1], sequence="other", end=True, step=1))
        again = await result(server.ask(START.x, sequence="s", **START.options()))
        assert again.outputs["y"].ravel().tolist() == [101, 103]
        assert server.sessions._rosters.of(ADDER).of(SCOPE).keys() == {"s"}
