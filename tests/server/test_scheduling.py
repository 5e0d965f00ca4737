"""Any order of arrivals, batches, cancellations and deadlines over Scheduler and MemoryStore, beside a plain model."""

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.manifest import TensorSpec
from server.limits import Limits
from server.scheduler import Scheduler
from server.stores.memory import MemoryStore
from server.types import Batch, Chunk, ModelKey, Scope, SequenceId, States
from tests.server.scheduling import asked

MAX_BATCH, MAX_STEPS = 5, 24
CAPACITY = 8
MODELS = [ModelKey("a", 1), ModelKey("a", 2), ModelKey("b", 1)]
IDS: list[SequenceId] = [1, 2, 3, "1"]
ARRIVALS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "ids": st.lists(st.sampled_from(IDS), max_size=4, unique=True),
        "time": st.sampled_from([1, 2, 3, 7, 8]),
        "patience": st.sampled_from([math.inf, math.inf, 5.0]),
        "client": st.integers(0, 2),
        "priority": st.sampled_from([0, 0, 0, 3]),
    }
)


class Scheduling(RuleBasedStateMachine):
    """Every row is the next entry of its sequence; each sequence's entries, as they ran, are kept in its slot."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(max_batch=MAX_BATCH, max_steps=MAX_STEPS)
        self.scheduler = Scheduler(lambda _: self.limits)
        initial = {"state.last": np.array([-1], np.int64)}
        self.store = MemoryStore(initial, [TensorSpec("y", "INT64", ("time",))], capacity=CAPACITY)
        self.now = 0.0
        self.serial = 0
        # The requests that wait, in order of arrival, of each sequence.
        self.lines: dict[tuple[Scope, SequenceId], list[int]] = {}
        self.numbers: dict[int, Chunk] = {}
        self.in_flight: list[list[Chunk]] = []
        self.ran: dict[tuple[Scope, SequenceId], list[int]] = {}
        self.slots: dict[tuple[Scope, SequenceId], int] = {}
        self.unkept: set[int] = set()

    @rule(arrivals=st.lists(ARRIVALS, min_size=1, max_size=6))
    def arrive(self, arrivals):
        for arrival in arrivals:
            self.add(**arrival)

    def add(self, *, model, ids, time, patience, client, priority):
        self.now += 0.5
        chunk = asked(
            *ids, rows=None if ids else 2, time=time, model=model, arrived=self.now, deadline=self.now + patience,
            client=client, priority=priority,
        )  # fmt: skip
        chunk.done = self.serial  # type: ignore[assignment]  # which request it is, kept by what is cut out of it
        self.serial += 1
        self.scheduler.add(chunk)
        self.numbers[chunk.done] = chunk
        if not ids:
            self.unkept.add(chunk.done)
        for sequence in ids:
            self.lines.setdefault((chunk.scope, sequence), []).append(chunk.done)

    @rule(seconds=st.integers(0, 3))
    def pass_time(self, seconds):
        self.now += seconds

    @rule(pick=st.randoms(use_true_random=False))
    def cancel(self, pick):
        if self.numbers:
            for left in self.scheduler.cancel(pick.choice(list(self.numbers.values()))):
                self.leave(left)

    @rule()
    def schedule(self):
        self.run_next()

    def run_next(self) -> bool:
        schedule = self.scheduler.schedule(self.now)
        for chunk in schedule.overdue:
            assert chunk.deadline < self.now
            self.leave(chunk)
        if not schedule.chunks:
            assert not self.ready()
            return False
        self.check(schedule.chunks)
        self.in_flight.append(schedule.chunks)
        for chunk in schedule.chunks:
            self.run(chunk)
        return True

    def ready(self) -> list[int]:
        """The rows that nothing holds back, as the plain model sees it."""
        busy = {(chunk.scope, sequence) for batch in self.in_flight for chunk in batch for sequence in chunk.ids}
        return [*self.unkept, *(line[0] for key, line in self.lines.items() if line and key not in busy)]

    def check(self, batch):
        rows = [(chunk.scope, sequence) for chunk in batch for sequence in chunk.ids]
        flying = [(chunk.scope, sequence) for others in self.in_flight for chunk in others for sequence in chunk.ids]
        assert len({(chunk.model, chunk.part, chunk.size) for chunk in batch}) == 1
        assert len(rows) == len(set(rows))
        assert not set(rows) & set(flying)
        count, longest = sum(chunk.rows for chunk in batch), max(chunk.time for chunk in batch)
        assert len(batch) == 1 or (count <= MAX_BATCH and count * longest <= MAX_STEPS)
        assert all(chunk.deadline >= self.now for chunk in batch)

    def leave(self, chunk):
        """A row leaves once, and only from where it waits."""
        if not chunk.ids:
            self.unkept.remove(chunk.done)
        for sequence in chunk.ids:
            self.lines[chunk.scope, sequence].remove(chunk.done)

    def run(self, chunk):
        if not chunk.ids:
            self.unkept.remove(chunk.done)
            return
        keys = [(chunk.scope, sequence) for sequence in chunk.ids]
        fresh = np.array([key not in self.slots for key in keys])
        self.slots |= zip(
            [key for key in keys if key not in self.slots], self.store.allocate(int(fresh.sum())), strict=True
        )
        slots = np.array([self.slots[key] for key in keys])
        assert len(set(self.slots.values())) == len(self.slots)
        before = self.store.gather(slots, fresh).fixed["state.last"][:, 0].tolist()
        for key, last in zip(keys, before, strict=True):
            assert self.lines[key].pop(0) == chunk.done, "not the oldest of its sequence"
            assert last == (self.ran.get(key) or [-1])[-1], "another's state"
            self.ran.setdefault(key, []).append(chunk.done)
        self.commit(slots, fresh, chunk.done)

    def commit(self, slots, fresh, number):
        rows = len(slots)
        state = np.full((rows, 1), number)
        batch = Batch(
            slots, fresh, {}, np.ones(rows, np.int64), np.ones(rows, np.int64), None, np.zeros(rows, np.uint64),
            np.zeros(rows, np.uint64),
        )  # fmt: skip
        self.store.commit(batch, {"y": np.full((rows, 1), number)}, States({"state.last": state}), None)

    @rule(end=st.booleans())
    def finish(self, end):
        if self.in_flight:
            batch = self.in_flight.pop(0)
            self.scheduler.finish(batch, 0.01)
            if end:
                self.end(batch[0])

    def end(self, chunk):
        """Some sequences end with their chunk, and their slots are given to others."""
        for sequence in chunk.ids:
            self.store.release([self.slots.pop((chunk.scope, sequence))])
            self.ran.pop((chunk.scope, sequence))
        self.store.trim()

    @invariant()
    def what_waits_is_counted_exactly(self):
        cuts = [cut for chunk in self.numbers.values() for cut in chunk.cuts or [chunk] if cut.waits]
        assert len(self.scheduler) == len(cuts) == sum(self.scheduler.waiting(name) for name in "ab")
        rows = [(cut.scope, sequence) for cut in cuts for sequence in cut.ids]
        assert len(rows) == sum(map(len, self.lines.values()))

    @invariant()
    def a_sequence_is_held_while_it_has_work_and_no_longer(self):
        busy = {(chunk.scope, sequence) for batch in self.in_flight for chunk in batch for sequence in chunk.ids}
        busy |= {key for key, line in self.lines.items() if line}
        for model in "ab":
            for sequence in IDS:
                assert self.scheduler.holds(Scope("", model), sequence) == ((Scope("", model), sequence) in busy)

    @invariant()
    def a_slot_is_in_use_for_each_sequence_and_no_more(self):
        assert self.store.live == len(self.slots)

    def teardown(self):
        """Nothing is lost: with time standing still all that waits runs, and no sequence stays held."""
        while self.run_next() or self.in_flight:
            while self.in_flight:
                self.finish(end=False)
        assert len(self.scheduler) == 0
        assert not any(self.lines.values())
        assert not self.unkept
        self.a_sequence_is_held_while_it_has_work_and_no_longer()


TestScheduling = Scheduling.TestCase
TestScheduling.settings = settings(max_examples=150, stateful_step_count=50)
