import math
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from server.scheduler import Scheduler
from server.types import ModelKey
from tests.server.fakes import chunk, session_key

MAX_BATCH = 5
MODELS = [ModelKey("a", 1), ModelKey("a", 2), ModelKey("b", 1)]
ARRIVALS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "sequence": st.sampled_from([None, 1, None, 2, None, "1"]),
        "rows": st.integers(1, MAX_BATCH),
        "time": st.sampled_from([2, 3, 1, 7, 8]),
        "patience": st.sampled_from([math.inf, math.inf, 5.0]),
    }
)


class Scheduling(RuleBasedStateMachine):
    """Any order of arrivals, batches, cancellations and deadlines, beside a plain list of what waits."""

    batches = Bundle("batches")
    chunks = Bundle("chunks")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(max_batch=MAX_BATCH)
        self.now = 0.0
        self.waiting: list = []
        self.in_flight: list = []
        self.cancelled: set = set()
        self.left: list = []

    @rule(target=chunks, arrivals=st.lists(ARRIVALS, min_size=1, max_size=8))
    def arrive(self, arrivals):
        return multiple(*[self.add(**arrival) for arrival in arrivals])

    def add(self, *, model, sequence, rows, time, patience):
        self.now += 0.5
        key = None if sequence is None else session_key(sequence, model.name)
        asked = chunk(
            *[[1.0] * time] * (rows if key is None else 1),
            key=key,
            model=model,
            arrived=self.now,
            deadline=self.now + patience,
        )
        self.scheduler.add(asked)
        self.waiting.append(asked)
        return asked

    @rule(seconds=st.integers(0, 3))
    def pass_time(self, seconds):
        self.now += seconds

    @rule(asked=chunks)
    def cancel(self, asked):
        if asked in self.waiting or asked in self.in_flight:
            self.scheduler.cancel(asked)
            self.cancelled.add(asked)

    @rule(target=batches)
    def schedule(self):
        schedule = self.scheduler.schedule(self.now)
        for asked in schedule.overdue:
            assert asked.deadline < self.now
            self.leave(asked)
        self.check_batch(schedule.chunks)
        for asked in schedule.chunks:
            self.leave(asked)
        self.in_flight.extend(schedule.chunks)
        if not schedule.chunks:
            assert not [asked for asked in self.waiting if self.wanted(asked) and not self.busy(asked)]
        return schedule.chunks

    @rule(batch=consumes(batches))
    def finish(self, batch):
        self.scheduler.finish(batch)
        self.in_flight = [asked for asked in self.in_flight if asked not in batch]

    def check_batch(self, batch):
        assert len({(asked.model, asked.time.bit_length()) for asked in batch}) <= 1
        assert sum(asked.rows for asked in batch) <= MAX_BATCH
        keys = [asked.key for asked in batch if asked.key is not None]
        assert len(keys) == len(set(keys))
        for asked in batch:
            assert asked.deadline >= self.now
            assert not self.busy(asked)

    def leave(self, asked):
        """A chunk leaves once, uncancelled, and the oldest of its sequence."""
        assert asked in self.waiting
        assert asked not in self.cancelled
        for other in self.waiting[: self.waiting.index(asked)]:
            assert other.key is None or other.key != asked.key or not self.wanted(other)
        self.waiting.remove(asked)
        self.left.append(asked)

    def busy(self, asked) -> bool:
        return asked.key is not None and any(other.key == asked.key for other in self.in_flight)

    def wanted(self, asked) -> bool:
        return asked not in self.cancelled and asked.deadline >= self.now

    @invariant()
    def a_sequence_with_work_is_held(self):
        for asked in self.in_flight + [asked for asked in self.waiting if asked not in self.cancelled]:
            assert asked.key is None or self.scheduler.holds(asked.key)

    @invariant()
    def what_waits_is_counted(self):
        assert len([asked for asked in self.waiting if asked not in self.cancelled]) <= len(self.scheduler)
        assert len(self.scheduler) <= len(self.waiting)

    def teardown(self):
        """Nothing is lost: with time standing still all that waits leaves, and no sequence stays held."""
        self.scheduler.finish(self.in_flight)
        self.in_flight.clear()
        while batch := self.schedule():
            self.finish(batch)
        assert not [asked for asked in self.waiting if asked not in self.cancelled]
        assert len(self.scheduler) == 0
        assert not any(self.scheduler.waiting(model.name) for model in MODELS)
        assert not any(asked.key and self.scheduler.holds(asked.key) for asked in self.left + self.waiting)


TestScheduling = Scheduling.TestCase
TestScheduling.settings = settings(max_examples=200, stateful_step_count=50)


def ones(time: int = 1, **options):
    return chunk([1.0] * time, **options)


def test_chunks_that_are_ready_together_run_together():
    scheduler = Scheduler(max_batch=MAX_BATCH)
    chunks = [ones(key=session_key(number), arrived=number) for number in range(1, 8)]
    for asked in chunks:
        scheduler.add(asked)
    assert scheduler.schedule(0.0).chunks == chunks[:MAX_BATCH]
    assert scheduler.schedule(0.0).chunks == chunks[MAX_BATCH:]


def test_a_sequence_is_served_in_the_order_of_arrival_whatever_the_lengths():
    scheduler = Scheduler(max_batch=MAX_BATCH)
    times = [9, 1, 4, 1, 2]
    chunks = deque(ones(time, key=session_key("s"), arrived=number) for number, time in enumerate(times))
    for asked in chunks:
        scheduler.add(asked)
    for asked in chunks:
        assert scheduler.schedule(0.0).chunks == [asked]
        assert scheduler.schedule(0.0).chunks == []
        scheduler.finish([asked])
    assert not scheduler.holds(session_key("s"))


def test_the_integer_and_the_string_are_two_sequences():
    scheduler = Scheduler(max_batch=MAX_BATCH)
    chunks = [ones(key=session_key(5)), ones(key=session_key("5"))]
    for asked in chunks:
        scheduler.add(asked)
    assert scheduler.schedule(0.0).chunks == chunks


def test_a_model_under_load_does_not_starve_another():
    scheduler = Scheduler(max_batch=2)
    for number in range(6):
        scheduler.add(ones(model=MODELS[0], arrived=number / 10))
    alone = ones(model=MODELS[2], arrived=1.0)
    scheduler.add(alone)
    batches = []
    for number in range(5):
        for offset in range(4):
            scheduler.add(ones(model=MODELS[0], arrived=2.0 + number + offset / 10))
        batches.append(scheduler.schedule(0.0).chunks)
    assert batches.index([alone]) == 3


def test_a_long_chunk_does_not_starve_behind_short_ones():
    scheduler = Scheduler(max_batch=2)
    scheduler.add(ones(arrived=0.0))
    long = ones(500, arrived=1.0)
    scheduler.add(long)
    for number in range(10):
        scheduler.add(ones(arrived=2.0 + number))
    assert long in [*scheduler.schedule(0.0).chunks, *scheduler.schedule(0.0).chunks, *scheduler.schedule(0.0).chunks]


def test_a_chunk_that_does_not_fit_is_first_in_the_next_batch():
    scheduler = Scheduler(max_batch=4)
    three, wide, one = (chunk(*[[1.0]] * rows, arrived=float(rows)) for rows in (3, 4, 1))
    for asked in (three, wide, one):
        scheduler.add(asked)
    assert [scheduler.schedule(0.0).chunks for _ in range(3)] == [[three], [wide], [one]]


@pytest.mark.parametrize("unwanted", ["cancelled", "overdue"])
def test_a_chunk_behind_an_unwanted_one_must_fit_the_batch_too(unwanted):
    scheduler = Scheduler(max_batch=4)
    three, wide = (chunk(*[[1.0]] * rows) for rows in (3, 4))
    left = ones(deadline=1.0 if unwanted == "overdue" else math.inf)
    for asked in (three, left, wide):
        scheduler.add(asked)
    if unwanted == "cancelled":
        scheduler.cancel(left)
    assert scheduler.schedule(2.0).chunks == [three]
    assert scheduler.schedule(2.0).chunks == [wide]


def test_a_deadline_that_is_now_is_not_passed():
    scheduler = Scheduler(max_batch=1)
    asked = ones(deadline=5.0)
    scheduler.add(asked)
    assert scheduler.schedule(5.0).chunks == [asked]


def test_what_waits_is_counted_by_model_name():
    scheduler = Scheduler(max_batch=1)
    for model in MODELS:
        scheduler.add(ones(model=model))
    assert (scheduler.waiting("a"), scheduler.waiting("b"), len(scheduler)) == (2, 1, 3)
    scheduler.schedule(0.0)
    assert (scheduler.waiting("a"), scheduler.waiting("b"), len(scheduler)) == (1, 1, 2)


def test_the_version_of_a_start_is_known_until_its_sequence_has_no_work():
    scheduler = Scheduler(max_batch=1)
    begin, step = ones(key=session_key("s"), model=MODELS[1], start=True), ones(key=session_key("s"), model=MODELS[1])
    for asked in (begin, step):
        assert scheduler.starting(begin.key) == (None if asked is begin else MODELS[1])
        scheduler.add(asked)
    for asked in (begin, step):
        assert scheduler.schedule(0.0).chunks == [asked]
        assert scheduler.starting(begin.key) == MODELS[1]
        scheduler.finish([asked])
    assert scheduler.starting(begin.key) is None
