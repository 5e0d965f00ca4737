import asyncio
import logging
import threading

import numpy as np
import pytest

from server import engine
from server.errors import Internal, ModelRefused, NotFinite, QueueTimeout
from tests.server.fakes import ADDER, BROKEN, PATIENCE_SECONDS, REFUSED, SCOPE, SECRET, Server, chunk, result, sums

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


async def test_books_that_fail_are_told_to_the_log_and_the_loop_goes_on(caplog, monkeypatch):
    server = Server()
    begin = server.sessions.begin

    def fails_once(chunks):
        monkeypatch.setattr(server.sessions, "begin", begin)
        raise KeyError(SECRET)

    monkeypatch.setattr(server.sessions, "begin", fails_once)
    async with server.running():
        failed = await result(server.ask([1], sequence="a", start=True))
        assert await sums(server.ask([1], sequence="a", start=True)) == [[101]]
    assert isinstance(failed, Internal)
    assert SECRET not in failed.sentence
    assert [record.exc_info[1].args for record in caplog.records if record.levelno == logging.ERROR] == [(SECRET,)]


async def test_an_answer_that_cannot_be_handed_on_keeps_nobody_else_from_theirs(caplog):
    server = Server()

    def fails(_, __):
        raise ValueError(SECRET)

    async with server.running():
        server.sessions.submit(chunk([1], ids=("a",), start=True, done=fails, arrived=server.clock()))
        assert await sums(server.ask([2], sequence="b", start=True)) == [[102]]
        assert await sums(server.ask([1], sequence="a")) == [[102]]
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
    assert not server.engine.holds(SCOPE, 5)


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
    asked = [
        chunk([1], [2], done=lambda *told: answers.append(told)),
        chunk([REFUSED], done=lambda *told: answers.append(told)),
    ]
    for one in asked:
        server.sessions.submit(one)
    async with server.running():
        await result(server.ask([1]))
    assert [told for told, _ in answers] == asked
    assert [list(map(type, answer.errors.values())) for _, answer in answers] == [[], [ModelRefused]]


async def test_a_chunk_whose_time_is_over_leaves_the_queue_at_once_though_nothing_runs():
    server = Server()
    asked, late = server.submit([2], sequence=5, start=True, deadline=server.clock() + 0.001)
    after = server.ask([4], sequence=5, start=True)
    assert isinstance(await result(late), QueueTimeout)
    assert (len(server.scheduler), asked.waits) == (1, None)
    async with server.running():
        assert await sums(after) == [[104]]


async def test_a_chunk_whose_time_is_over_once_it_runs_is_answered():
    server = Server()
    begun, go_on = threading.Event(), threading.Event()
    run = server.runner.run

    def slow(*arguments):
        begun.set()
        go_on.wait(10)
        return run(*arguments)

    server.runner.run = slow
    async with server.running():
        asked, future = server.submit([2], sequence=5, start=True, deadline=server.clock() + 1)
        await asyncio.to_thread(begun.wait, 10)
        server.engine._give_up(asked)
        assert not future.done()
        go_on.set()
        assert await sums(future) == [[102]]


async def test_rows_of_many_sequences_of_which_some_are_busy_are_each_answered_once():
    server = Server()
    answers = []
    async with server.running():
        await result(server.ask([1], sequence="a", start=True))
    first = server.ask([10], sequence="a")
    many = chunk([1], [2], [3], ids="bac", start=[True, False, True], done=lambda *told: answers.append(told))
    server.sessions.submit(many)
    async with server.running():
        assert await sums(first) == [[111]]
        await result(server.ask([0], sequence="a"))
    found = {
        row: y
        for part, answer in answers
        for row, y in zip(part.place.tolist(), answer.outputs["y"].ravel().tolist(), strict=True)
    }
    assert found == {0: 101, 1: 113, 2: 103}
    assert sorted(row for part, _ in answers for row in part.place.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("bad", [[REFUSED], [BROKEN], [REFUSED, BROKEN]])
async def test_one_row_of_many_that_the_graph_refuses_fails_alone_in_few_runs(bad, caplog):
    server = Server(max_batch=256, capacity=256)
    ids = list(range(1, 257))
    async with server.running():
        await result(server.ask_many(ids, *[[1.0]] * 256, start=True))
        del server.runner.rows[:]
        places = [77, 200][: len(bad)]
        values = [[2.0]] * 256
        for place, value in zip(places, bad, strict=True):
            values[place] = [value]
        answer = await result(server.ask_many(ids, *values))
        assert sorted(answer.errors) == places
        expected = [0.0 if row in places else 103.0 for row in range(256)]
        assert answer.outputs["y"].ravel().tolist() == expected
        assert answer.positions.tolist() == [1 if row in places else 2 for row in range(256)]
        assert len(server.runner.rows) <= len(bad) * (1 + 2 * 8)
        after = await result(server.ask_many(ids, *[[0.0]] * 256))
        assert after.outputs["y"].ravel().tolist() == [value or 101.0 for value in expected]
    assert server.metrics.sample("recur_steps_total", ADDER) == 256 + (256 - len(bad)) + 256


async def test_what_is_answered_without_a_run_is_counted():
    server = Server()
    registry = server.metrics.registry
    async with server.running():
        await result(server.ask([1], sequence=5, start=True, step=0))
        await result(server.ask([1], sequence=5, start=True, step=0))
        await result(server.ask([2], sequence=5, step=7))
        await result(server.ask([2], sequence=5, start=True, step=0))
    assert registry.get_sample_value("recur_replays_total") == 1
    assert registry.get_sample_value("recur_conflicts_total", {"reason": "STEP_GAP"}) == 1
    assert registry.get_sample_value("recur_conflicts_total", {"reason": "STEP_CONFLICT"}) == 1
    assert server.runner.rows == [1]


async def test_a_chunk_waits_for_others_no_longer_than_it_may():
    server = Server(queue_delay_seconds=0.01)
    async with server.running():
        first = server.ask([1])
        for _ in range(20):
            await asyncio.sleep(0)
        assert not first.done(), "the batch is not full"
        second = server.ask([2])
        server.clock.now += 0.02
        assert [await sums(first), await sums(second)] == [[[101]], [[102]]]
    assert server.runner.rows == [2]


async def test_a_follower_runs_before_what_waits_and_ends_with_its_answer():
    server = Server()
    told = []

    def follow(asked, answer):
        told.append(answer.outputs["y"].item())
        return chunk([told[-1]], ids=asked.ids, done=follow) if len(told) < 3 else None

    async with server.running():
        server.sessions.submit(chunk([1], ids="s", start=True, done=follow))
        assert await sums(server.ask([0], sequence="s")) == [[404]]
    assert told == [101, 202, 404]


async def test_what_was_answered_in_time_is_not_held_until_its_deadline():
    server = Server()
    async with server.running():
        asked, future = server.submit([1], deadline=server.clock() + 3600)
        await result(future)
    assert asked.timer.cancelled()


async def test_an_engine_has_finished_when_nothing_waits_or_runs():
    server = Server(queue_delay_seconds=0.05)
    await asyncio.wait_for(server.engine.finished(), PATIENCE_SECONDS)
    async with server.running():
        future = server.ask([1])
        finished = asyncio.create_task(server.engine.finished())
        await asyncio.sleep(0)
        assert not finished.done()
        server.clock.now += 1
        await result(future)
        await asyncio.wait_for(finished, PATIENCE_SECONDS)
