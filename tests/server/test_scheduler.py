import math
from collections import deque

import pytest

from server.errors import QueueFull
from server.limits import Limits
from server.scheduler import PATIENCE_SECONDS, Scheduler
from server.types import Chunk, ModelKey, Scope
from tests.server.scheduling import MODEL, asked

OTHER = ModelKey("b", 1)
SCOPE = Scope("", MODEL.name)


def scheduler(*chunks: Chunk, max_total: int = 0, **limits) -> Scheduler:
    """A scheduler of one set of limits, with chunks that wait."""
    made = Scheduler(lambda _: Limits(**limits), max_queue=max_total)
    for chunk in chunks:
        made.add(chunk)
    return made


def taken(from_: Scheduler, now: float = 0.0) -> list[Chunk]:
    return from_.schedule(now).chunks


def test_chunks_that_are_ready_together_run_together_up_to_the_rows_of_a_batch():
    chunks = [asked(sequence, arrived=sequence) for sequence in range(7)]
    queue = scheduler(*chunks, max_batch=5)
    assert [taken(queue), taken(queue), taken(queue)] == [chunks[:5], chunks[5:], []]


def test_one_chunk_of_a_sequence_is_in_flight_and_the_others_follow_in_order():
    chunks = deque(asked("s", time=time, arrived=number) for number, time in enumerate((9, 1, 4, 1, 2)))
    queue = scheduler(*chunks)
    while chunks:
        assert queue.holds(SCOPE, "s")
        chunk = chunks.popleft()
        assert taken(queue) == [chunk]
        assert taken(queue) == []
        queue.finish([chunk])
    assert not queue.holds(SCOPE, "s")


def test_the_integer_the_string_and_another_models_id_are_sequences_of_their_own():
    here, text, there = asked(5), asked("5"), asked(5, model=OTHER)
    queue = scheduler(here, text, there)
    assert taken(queue) == [here, text]
    assert taken(queue) == [there]
    assert queue.holds(Scope("", "b"), 5)
    assert not queue.holds(Scope("", "b"), "5")


@pytest.mark.parametrize("limits", [{"max_queue": 4}, {"max_queue": 99, "max_total": 4}])
def test_the_queue_is_crowded_when_half_of_its_places_are_taken(limits):
    queue = scheduler(asked(1), **limits)
    assert not queue.crowded("a")
    queue.add(asked(1))
    assert queue.crowded("a")
    assert queue.crowded("b") == ("max_total" in limits)
    queue.finish(taken(queue))
    assert not queue.crowded("a"), "what runs has left it"


def test_busy_rows_wait_each_alone_while_the_free_rows_run():
    first, many = asked(2, 3), asked(1, 2, 3, 4)
    queue = scheduler(first)
    assert taken(queue) == [first]
    queue.add(many)
    [free] = taken(queue)
    assert (list(free.ids), free.place.tolist()) == ([1, 4], [0, 3])
    assert (taken(queue), queue.waiting("a")) == ([], 2)
    queue.finish([first])
    assert [(list(chunk.ids), chunk.place.tolist()) for chunk in taken(queue)] == [([2], [1]), ([3], [2])]


def test_rows_go_on_as_each_sequence_is_free_not_when_all_are():
    slow, quick, many = asked(1, time=500), asked(2), asked(1, 2)
    queue = scheduler(slow, quick, many)
    assert [taken(queue), taken(queue)] == [[slow], [quick]]
    queue.finish([quick])
    assert [list(chunk.ids) for chunk in taken(queue)] == [[2]]


def test_a_lane_is_padded_to_less_than_twice_a_chunks_time():
    chunks = [asked(sequence, time=sequence) for sequence in range(1, 20)]
    queue = scheduler(*chunks)
    batches = []
    while batch := taken(queue):
        batches.append(batch)
        queue.finish(batch)
    assert sum(map(len, batches)) == len(chunks)
    for batch in batches:
        assert max(chunk.time for chunk in batch) < 2 * min(chunk.time for chunk in batch)


def test_chunks_of_other_graphs_or_models_run_apart():
    run, peek, other = asked(1), asked(2, part="peek"), asked(3, model=OTHER)
    queue = scheduler(run, peek, other)
    assert sorted(len(taken(queue)) for _ in range(3)) == [1, 1, 1]


def test_rows_times_the_longest_stay_within_the_steps_of_a_batch():
    short, long, last = asked(1, time=4), asked(2, time=7), asked(3, time=4)
    queue = scheduler(short, long, last, max_steps=14)
    assert [taken(queue), taken(queue)] == [[short, long], [last]]
    alone = asked(4, time=100)
    assert taken(scheduler(alone, max_steps=14)) == [alone]


def test_a_chunk_that_does_not_fit_is_first_in_the_next_batch():
    three, wide, one = asked(rows=3), asked(rows=4, arrived=0.01), asked(rows=1, arrived=0.02)
    queue = scheduler(three, wide, one, max_batch=4)
    assert [taken(queue) for _ in range(3)] == [[three], [wide], [one]]


@pytest.mark.parametrize("unwanted", ["cancelled", "overdue"])
def test_a_chunk_behind_an_unwanted_one_must_fit_the_batch_too(unwanted):
    three, left, wide = asked(rows=3), asked(rows=1, deadline=1.0 if unwanted == "overdue" else 9.0), asked(rows=4)
    queue = scheduler(three, left, wide, max_batch=4)
    if unwanted == "cancelled":
        queue.cancel(left)
    assert [taken(queue, 2.0), taken(queue, 2.0)] == [[three], [wide]]


def test_a_batch_waits_for_more_rows_as_long_as_it_may_and_says_when_to_ask_again():
    first, second = asked(1, arrived=1.0), asked(2, arrived=1.4)
    queue = scheduler(first, second, queue_delay_seconds=0.5, max_batch=3)
    assert (queue.schedule(1.4).chunks, queue.schedule(1.4).again) == ([], 1.5)
    assert taken(queue, 1.5) == [first, second]


def test_a_full_batch_waits_for_nothing():
    chunks = [asked(1, 2), asked(3)]
    assert taken(scheduler(*chunks, queue_delay_seconds=0.5, max_batch=3)) == chunks


@pytest.mark.parametrize("order", [(MODEL, OTHER), (OTHER, MODEL)])
def test_of_several_models_that_wait_to_fill_the_first_says_when_to_ask_again(order):
    queue = scheduler(queue_delay_seconds=0.5)
    queue.add(asked(1, model=order[0], arrived=1.0))
    queue.add(asked(2, model=order[1], arrived=1.3))
    assert queue.schedule(1.3).again == 1.5


def test_a_cancelled_chunk_does_not_hold_up_a_batch_that_waits_to_fill():
    gone, late = asked(1, arrived=1.0), asked(2, arrived=1.4)
    queue = scheduler(gone, late, queue_delay_seconds=0.5)
    queue.cancel(gone)
    assert queue.schedule(1.5).again == pytest.approx(1.9)


def test_what_is_due_first_goes_first():
    patient, hurried = asked(1, arrived=0.0), asked(2, arrived=0.05, deadline=0.06)
    assert taken(scheduler(patient, hurried, max_batch=1)) == [hurried]


def test_a_less_urgent_chunk_goes_later_but_not_for_ever():
    later = asked(1, priority=1, client=1)
    queue = scheduler(later, asked(2, client=2), max_batch=1)
    assert taken(queue) != [later]
    queue.add(asked(3, arrived=0.5 * PATIENCE_SECONDS, client=3))
    assert taken(queue) != [later]
    queue.add(asked(4, arrived=1.5 * PATIENCE_SECONDS, client=4))
    assert taken(queue) == [later]


def test_a_client_with_a_thousand_chunks_does_not_hold_up_anothers_one():
    queue = scheduler(*(asked(sequence, client=1) for sequence in range(1000)), max_batch=10)
    one = asked("one", client=2, arrived=0.001)
    queue.add(one)
    batches = [taken(queue) for _ in range(5)]
    assert any(one in batch for batch in batches)


@pytest.mark.parametrize("model", [MODEL, OTHER])
@pytest.mark.parametrize("priority", [0, 3])
def test_under_steady_overload_every_chunk_runs_after_boundedly_many_batches(model, priority):
    queue = scheduler(max_batch=2, max_queue=10**6)
    victim = asked("victim", time=9, model=model, priority=priority, client=7, arrived=1.0)
    backlog, rounds, now = 0, 0, 0.0
    while victim.waits or not backlog:
        for number in range(3):
            queue.add(asked(rounds * 3 + number, time=number + 1, client=number, arrived=now))
        if rounds == 100:
            backlog = len(queue)
            queue.add(victim)
        batch = taken(queue, now)
        queue.finish(batch, 0.01)
        rounds, now = rounds + 1, now + 0.01
    urgent = 3 * (1 + priority) * PATIENCE_SECONDS / 0.01
    assert rounds - 100 <= backlog + urgent


def test_clients_that_come_once_are_forgotten():
    queue = scheduler(max_queue=10**6)
    for client in range(5000):
        queue.add(asked(client, client=client, arrived=float(client)))
    assert len(queue._turns) < 2000


def test_models_share_by_the_seconds_that_they_use():
    queue = scheduler(max_batch=1)
    for sequence in range(100):
        queue.add(asked(sequence))
        queue.add(asked(sequence, model=OTHER))
    turns = {MODEL: 0, OTHER: 0}
    for _ in range(60):
        [chunk] = taken(queue)
        turns[chunk.model] += 1
        queue.finish([chunk], 0.03 if chunk.model == MODEL else 0.01)
    assert turns[OTHER] == pytest.approx(3 * turns[MODEL], abs=3)


def test_a_model_that_was_idle_has_saved_up_nothing():
    queue = scheduler(*(asked(sequence) for sequence in range(20)), max_batch=1)
    for _ in range(10):
        queue.finish(taken(queue), 1.0)
    for sequence in range(10):
        queue.add(asked(sequence, model=OTHER))
    turns = []
    for _ in range(8):
        turns += (batch := taken(queue))
        queue.finish(batch, 1.0)
    assert sum(chunk.model == OTHER for chunk in turns) in (3, 4, 5)


def test_a_cancelled_chunk_leaves_at_once_and_its_line_goes_on():
    first, second, third = (asked("s", arrived=number) for number in range(3))
    queue = scheduler(first, second, third)
    assert queue.cancel(first) == [first]
    assert queue.cancel(third) == [third]
    assert queue.waiting("a") == 1
    assert taken(queue) == [second]
    assert queue.cancel(second) == []
    queue.finish([second])
    assert not queue.holds(SCOPE, "s")
    assert (len(queue), taken(queue)) == (0, [])


def test_cancelling_rows_takes_back_those_that_wait_and_no_others():
    first, many = asked(1), asked(1, 2)
    queue = scheduler(first, many)
    assert sorted(taken(queue), key=lambda chunk: chunk.ids[0]) == [first, many.cuts[0]]
    assert [list(chunk.ids) for chunk in queue.cancel(many)] == [[1]]
    queue.finish([first, many.cuts[0]])
    assert (len(queue), queue.holds(SCOPE, 1), queue.holds(SCOPE, 2)) == (0, False, False)


def test_a_cancelled_start_says_no_more_where_its_sequence_will_be():
    newer = ModelKey("a", 2)
    step, start = asked("s"), asked("s", model=newer, start=("s",))
    queue = scheduler(step, start)
    assert queue.starting(SCOPE, "s") == newer
    queue.cancel(start)
    assert queue.starting(SCOPE, "s") is None


def test_a_cancelled_start_leaves_those_before_it_known():
    older, newer = MODEL, ModelKey("a", 2)
    first, again, step = asked("s", start=("s",)), asked("s", model=newer, start=("s",)), asked("s")
    queue = scheduler(first, again, step)
    queue.cancel(again)
    assert queue.starting(SCOPE, "s") == older
    queue.cancel(first)
    assert queue.starting(SCOPE, "s") is None
    assert taken(queue) == [step]


def test_the_version_of_a_start_is_known_until_its_sequence_has_no_work():
    newer = ModelKey("a", 2)
    begin, step = asked("s", model=newer, start=("s",)), asked("s", model=newer)
    queue = scheduler()
    assert queue.starting(SCOPE, "s") is None
    for chunk in (begin, step):
        queue.add(chunk)
    for chunk in (begin, step):
        assert taken(queue) == [chunk]
        assert queue.starting(SCOPE, "s") == newer
        queue.finish([chunk])
    assert queue.starting(SCOPE, "s") is None


def test_what_is_overdue_leaves_unrun_and_its_line_goes_on():
    late, next_ = asked("s", deadline=1.0), asked("s")
    queue = scheduler(late, next_)
    schedule = queue.schedule(1.5)
    assert (schedule.overdue, schedule.chunks) == ([late], [next_])
    assert len(queue) == 0


def test_what_is_behind_an_overdue_chunk_runs_though_it_is_of_another_version():
    late, next_ = asked("s", deadline=1.0), asked("s", model=ModelKey("a", 2))
    schedule = scheduler(late, next_).schedule(1.5)
    assert (schedule.overdue, schedule.chunks) == ([late], [next_])


def test_a_deadline_that_is_now_is_not_passed():
    chunk = asked(1, deadline=5.0)
    assert taken(scheduler(chunk), 5.0) == [chunk]


def test_no_more_wait_than_the_model_may_have():
    queue = scheduler(asked(1), asked(1), max_queue=2)
    with pytest.raises(QueueFull, match="2 requests for model 'a' wait already; try again later"):
        queue.add(asked(2))
    queue.add(asked(2, model=OTHER))
    assert (queue.waiting("a"), queue.waiting("b"), len(queue)) == (2, 1, 3)
    taken(queue)
    queue.add(asked(3))


def test_a_refused_chunk_leaves_no_trace():
    queue = scheduler(asked(1), max_queue=1)
    with pytest.raises(QueueFull):
        queue.add(asked(2))
    assert not queue.holds(SCOPE, 2)
    assert len(taken(queue)) == 1
    queue.add(asked(2))
    assert len(taken(queue)) == 1


def test_no_more_wait_than_all_models_may_have():
    queue = scheduler(asked(1), asked(2, model=OTHER), max_total=2)
    with pytest.raises(QueueFull):
        queue.add(asked(3))


def test_while_one_waits_too_long_new_ones_are_refused():
    first = asked(1, arrived=1.0)
    queue = scheduler(first, max_queue_seconds=0.5)
    queue.add(asked(2, arrived=1.5))
    with pytest.raises(QueueFull, match=r"have waited 0.6 s already"):
        queue.add(asked(3, arrived=1.6))
    queue.cancel(first)
    queue.add(asked(3, arrived=1.6))
    assert queue.oldest("a") == 1.5


def test_a_version_is_needed_while_a_chunk_of_it_waits():
    first, second = asked(1), asked(1)
    queue = scheduler(first, second)
    taken(queue)
    assert queue.needs(MODEL)
    queue.cancel(second)
    assert not queue.needs(MODEL)


def test_a_follower_goes_before_what_waits_in_its_line():
    first, waiting, follower = asked("s"), asked("s"), asked("s", arrived=9.0)
    queue = scheduler(first, waiting)
    assert taken(queue) == [first]
    queue.finish([first], followers=[follower])
    assert taken(queue) == [follower]
    assert taken(queue) == []
    queue.finish([follower])
    assert taken(queue) == [waiting]


def test_a_chunk_without_a_deadline_waits_for_ever():
    chunk = asked(1)
    assert chunk.deadline == math.inf
    assert taken(scheduler(chunk), 1e12) == [chunk]
