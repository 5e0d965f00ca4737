"""What a sequence sends: a hundred histories of lost and repeated answers against the protocol's table, without I/O."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import InvalidRequest, SequenceGone, Unavailable, error_of
from client.life import Generation, Life
from client.messages import Reply
from client.plans import Call, Emit, More
from client.retry import Attempts, Retry
from tests.client.table import Ask, RefusedError, Table

PATIENT = Retry(deadline_seconds=1e9)


def life(sequence_id="a"):
    return Life("adder", sequence_id, attempts=lambda retry: Attempts(retry or PATIENT, clock=lambda: 0.0))


def perform(plan, table, faults):
    """Perform a plan against the table; `faults` says for each call whether the request or its answer is lost."""
    event, waiting, emitted = None, [], []
    while True:
        try:
            effect = plan.send(event)
        except StopIteration as done:
            return emitted if done.value is None else done.value
        event = None
        if isinstance(effect, Emit):
            emitted.append(effect.answer)
        elif isinstance(effect, Call):
            waiting = called(effect.request, table, next(faults, "answered"))
            event = waiting.pop(0)
        elif isinstance(effect, More):
            event = waiting.pop(0)


def called(request, table, fault):
    if fault == "unsent":
        return [Unavailable("no connection")]
    numbers = request.parameters
    ask = Ask(
        tuple(request.inputs["x"][0].tolist()), request.start, request.end, numbers["recur_step"],
        numbers["recur_incarnation"], numbers.get("recur_max_steps", 0), numbers.get("recur_seed", 0),
    )  # fmt: skip
    before = copy.deepcopy(table.__dict__)
    try:
        given = table.ask(request.sequence_id, ask)
    except RefusedError as refused:
        return [error_of(refused.code, refused.reason, refused.sentence, position=refused.position)]
    replies = [Reply("1", {"y": np.array([one.y])}, told(one)) for one in given]
    if fault == "failed":  # some answers were sent, and the state is as it was
        table.__dict__.update(before)
        return [*replies[: len(replies) // 2], Unavailable("the store is not reached", reason="STORE_UNREACHABLE")]
    return [*replies[:fault], Unavailable("Socket closed")] if isinstance(fault, int) else replies


def told(one):
    final = bool(one.finish_reason)
    return {"recur_step": one.position, "recur_replayed": one.replayed, "triton_final_response": final}


faults = st.lists(st.sampled_from(["answered", "unsent", "failed", 0, 1, 2]), max_size=30)
chunks = st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=3), min_size=1, max_size=8)


@given(chunks=chunks, lost=st.lists(st.sampled_from(["answered", "unsent", "failed", 0]), max_size=30))
def test_whatever_is_lost_every_step_is_applied_once_and_answered(chunks, lost):
    table, fate, total, sequence = Table(), iter(lost), 0, life()
    for chunk in chunks:
        answer = perform(sequence.step({"x": [chunk]}), table, fate)
        total += sum(chunk)
        assert answer["y"][0, -1] == total
    assert sequence.position == sum(map(len, chunks))
    assert perform(sequence.close(), table, fate) is True
    assert table.applied == {"a": len(chunks) + 1}
    assert not table.live


@given(steps=st.lists(st.integers(1, 5), min_size=1, max_size=4), lost=faults, seed=st.integers(0, 9))
def test_whatever_is_lost_of_a_generation_its_end_is_known_and_no_position_comes_twice(steps, lost, seed):
    table, fate, sequence = Table(), iter(lost), life()
    for count in steps:
        before = sequence.position
        answers = perform(sequence.generate({"x": [[1]]}, Generation(count, seed=seed)), table, fate)
        positions = [answer.position for answer in answers]
        assert positions == sorted(set(positions))
        assert (answers[-1].position, sequence.position) == (before + count, before + count)
    assert table.applied == {"a": len(steps)}


def test_ids_and_incarnations_are_random_and_never_the_same():
    lives = [life(None) for _ in range(3)]
    assert len({one.id for one in lives} | {one.incarnation for one in lives}) == 6


def test_a_second_step_in_the_middle_of_the_first_is_refused():
    sequence = life()
    first = sequence.step({"x": [[1]]})
    next(first)
    with pytest.raises(InvalidRequest, match="in the middle of a step"):
        next(sequence.step({"x": [[1]]}))
    first.close()
    assert isinstance(next(sequence.step({"x": [[1]]})), Call)


def test_a_generation_left_and_then_lost_is_generated_again_unseen_before_the_next_step():
    table, sequence = Table(), life()
    left = sequence.generate({"x": [[1]]}, Generation(3, seed=0))
    assert isinstance(next(left), Call)
    assert isinstance(left.send(Reply("1", {}, {"recur_step": 1})), Emit)
    left.close()
    answer = perform(sequence.step({"x": [[1]]}), table, iter(()))
    assert (answer["y"].tolist(), answer.position, table.applied) == ([[5]], 4, {"a": 2})


def sent(plan, reply):
    """Give the request that a plan sends, and what it makes of the reply."""
    call = plan.send(None)
    with pytest.raises(StopIteration) as done:
        plan.send(reply)
    return call.request, done.value.value


def test_a_question_counts_no_step_and_leaves_the_sequence_where_it_is():
    one, y = life(), {"y": np.ones((1, 1))}
    sent(one.step({"x": [[1]]}), Reply("1", y, {"recur_step": 1}))
    request, answer = sent(one.peek({"x": [[2]]}), Reply("2", y, {"recur_step": 1}))
    assert (request.start, request.end, request.sequence_id) == (False, False, "a")
    assert request.parameters == {"recur_peek": True, "recur_incarnation": one.incarnation}
    assert (answer.position, one.position) == (1, 1)


def test_a_question_to_what_has_not_begun_is_refused():
    with pytest.raises(SequenceGone, match="has had no step to be asked about"):
        life().peek({"x": [[2]]}).send(None)


def test_a_score_is_a_step_that_asks_for_its_probability():
    one = life()
    request, answer = sent(one.score({"x": [[1, 2]]}), Reply("1", {"log_prob": np.zeros((1, 2))}, {"recur_step": 2}))
    assert request.parameters["recur_score"] is True
    assert (request.start, request.parameters["recur_step"]) == (True, 0)
    assert (one.position, answer["log_prob"].shape) == (2, (1, 2))
