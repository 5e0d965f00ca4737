import asyncio
import logging
import threading

import numpy as np
import pytest

from server import engine
from server.engine import assemble
from server.errors import Internal, ModelRefused, NotFinite, QueueTimeout, RecurError
from server.types import Answer, Turn
from tests.server.fakes import ADDER, BROKEN, REFUSED, SECRET, Server, chunk, result, sums

NAN, INFINITE = float("nan"), float("inf")


async def test_every_chunk_of_a_batch_gets_its_own_rows():
    server = Server()
    asked = [
        server.ask([1, 2], sequence="a", start=True),
        server.ask([10, 20, 30], [40]),
        server.ask([7, 8, 9], sequence="b", start=True),
    ]
    async with server.running():
        assert [await sums(future) for future in asked] == [
            [[101, 103]],
            [[110, 130, 160], [140, 0, 0]],
            [[107, 115, 124]],
        ]
    assert server.runner.rows == [4]


async def test_a_padded_row_goes_on_from_its_last_valid_step():
    server = Server()
    asked = [server.ask([1, 2], sequence="short", start=True), server.ask([1, 2, 3], sequence="long", start=True)]
    async with server.running():
        await asyncio.gather(*asked)
        assert await sums(server.ask([4], sequence="short")) == [[107]]
        assert await sums(server.ask([4], sequence="long")) == [[110]]


async def test_any_mix_of_sequences_gives_what_each_gives_alone(seed):
    random = np.random.default_rng(seed)
    server = Server(max_batch=5, capacity=12)
    steps = {number: [float(x) for x in random.integers(1, 100, 40)] for number in range(1, 9)}
    asked = {number: [] for number in steps}
    left = {number: list(xs) for number, xs in steps.items()}
    async with server.running():
        while any(left.values()):
            number = int(random.choice([number for number, xs in left.items() if xs]))
            taken = [left[number].pop(0) for _ in range(min(len(left[number]), int(random.integers(1, 6))))]
            asked[number].append(server.ask(taken, sequence=number, start=not asked[number]))
            if random.random() < 0.2:
                await asyncio.sleep(0)
        answers = {
            number: [y for future in futures for [row] in [await sums(future)] for y in row]
            for number, futures in asked.items()
        }
    assert answers == {number: (100 + np.cumsum(xs)).tolist() for number, xs in steps.items()}
    assert max(server.runner.rows) > 1


@pytest.mark.parametrize(("bad", "error"), [(REFUSED, ModelRefused), (BROKEN, Internal), (INFINITE, NotFinite)])
async def test_a_chunk_that_cannot_run_fails_alone_and_keeps_its_state(bad, error, caplog):
    server = Server()
    async with server.running():
        await asyncio.gather(*[server.ask([1], sequence=name, start=True) for name in "abc"])
        failed, *fine = [server.ask([bad], sequence="a"), *[server.ask([5], sequence=name) for name in "bc"]]
        assert [await sums(future) for future in fine] == [[[106]], [[106]]]
        assert isinstance(await result(failed), error)
        assert [await sums(server.ask([1], sequence=name)) for name in "abc"] == [[[102]], [[107]], [[107]]]


async def test_a_non_finite_row_fails_the_chunk_it_is_part_of_alone():
    server = Server()
    asked = [server.ask([1], [NAN]), server.ask([2], [3])]
    async with server.running():
        assert isinstance(await result(asked[0]), NotFinite)
        assert await sums(asked[1]) == [[102], [103]]


async def test_a_state_that_overflows_is_not_kept():
    server = Server()
    async with server.running():
        assert await sums(server.ask([1], sequence=5, start=True)) == [[101]]
        assert isinstance(await result(server.ask([3e38, 3e38], sequence=5)), NotFinite)
        assert await sums(server.ask([1], sequence=5)) == [[102]]


async def test_a_run_that_raises_tells_the_log_and_not_the_client(caplog):
    server = Server()
    async with server.running():
        broken = await result(server.ask([BROKEN]))
        assert await sums(server.ask([1])) == [[101]]
    assert broken.text().startswith("INTERNAL INTERNAL: ")
    assert SECRET not in broken.sentence
    assert [record.exc_info[1].args for record in caplog.records if record.levelno == logging.ERROR] == [(SECRET,)]


async def test_a_refused_chunk_does_not_reach_the_log(caplog):
    server = Server()
    async with server.running():
        refused = await result(server.ask([REFUSED]))
    assert SECRET not in refused.sentence
    assert caplog.records == []


async def test_an_overdue_chunk_is_told_so_and_never_runs():
    server = Server()
    async with server.running():
        await result(server.ask([1], sequence=5, start=True))
    late = server.ask([2], sequence=5, deadline=server.clock() + 1)
    later = server.ask([4], sequence=5)
    server.clock.now += 2
    async with server.running():
        assert isinstance(await result(late), QueueTimeout)
        assert await sums(later) == [[105]]


async def test_a_cancelled_chunk_never_runs_and_its_sequence_goes_on():
    server = Server()
    async with server.running():
        await result(server.ask([1], sequence=5, start=True))
    cancelled, never = server.submit([2], sequence=5)
    after = server.ask([4], sequence=5)
    server.engine.cancel(cancelled)
    async with server.running():
        assert await sums(after) == [[105]]
    assert not never.done()
    assert not server.engine.holds(cancelled.key)


async def test_what_arrives_while_a_batch_runs_is_the_next_batch():
    server = Server()
    begun, go_on = threading.Event(), threading.Event()
    run = server.runner.run

    def slow(*arguments):
        begun.set()
        go_on.wait(10)
        return run(*arguments)

    server.runner.run = slow
    async with server.running():
        first = server.ask([1])
        await asyncio.to_thread(begun.wait, 10)
        rest = [server.ask([number]) for number in range(2, 6)]
        go_on.set()
        assert await sums(first) == [[101]]
        assert [await sums(future) for future in rest] == [[[102]], [[103]], [[104]], [[105]]]
    assert server.runner.rows == [1, 4]


@pytest.mark.parametrize(("longest", "threads"), [(0.0, {"runtime_0"}), (1e9, {"MainThread"})])
async def test_a_long_run_goes_to_the_thread_and_a_short_one_does_not(longest, threads, monkeypatch):
    monkeypatch.setattr(engine, "SHORT_RUN_SECONDS", longest)
    server = Server()
    async with server.running():
        for number in range(4):
            await result(server.ask([number]))
    assert server.runner.threads[0] == "runtime_0", "how long the first run takes is not known"
    assert set(server.runner.threads[1:]) == threads


async def test_a_batch_is_counted():
    server = Server()
    asked = [server.ask([1, 2], [3]), server.ask([4, 5, 6])]
    async with server.running():
        await asyncio.gather(*asked)
    metrics = server.metrics
    assert metrics.sample("recur_steps_total", ADDER) == 6
    assert metrics.sample("recur_batch_rows_sum", ADDER) == 3
    assert metrics.sample("recur_stage_duration_seconds_count", ADDER, stage="queue") == 2
    assert metrics.sample("recur_stage_duration_seconds_count", ADDER, stage="compute") == 1


async def test_an_answer_is_given_once():
    server = Server()
    answers = []
    server.sessions.submit(chunk([1], [2], done=answers.append))
    server.sessions.submit(chunk([REFUSED], done=answers.append))
    async with server.running():
        await result(server.ask([1]))
    assert [type(answer) for answer in answers] == [Answer, ModelRefused]
    assert [isinstance(answer, RecurError) for answer in answers] == [False, True]


def test_a_batch_has_the_rows_of_its_turns_in_order_padded_with_zeros():
    server = Server()
    turns = [Turn(chunk([1, 2], [3]), (4, 2), fresh=True), Turn(chunk([5, 6, 7]), (0,), fresh=False)]
    batch = assemble(server.catalogue[ADDER], turns)
    assert batch.slots.tolist() == [4, 2, 0]
    assert batch.fresh.tolist() == [True, True, False]
    assert batch.lengths.tolist() == [2, 1, 3]
    assert batch.inputs["x"].shape == (3, 3, 1)
    assert batch.inputs["x"][:, 2, 0].tolist() == [0, 0, 7]
