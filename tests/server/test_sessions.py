import asyncio
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from models.manifest import TensorSpec
from server.errors import (
    ModelMissing,
    NotFinite,
    RecurError,
    SequenceGone,
    SequencesFull,
    StateFull,
    VersionMismatch,
)
from server.limits import Totals
from server.sessions import AT_ONCE
from server.types import ModelKey
from tests.server.fakes import ADDER, BROKEN, PATIENCE_SECONDS, SCOPE, Server, chunk, position, result, sums

SECOND = ModelKey(ADDER.name, 2)
INFINITE = float("inf")


@pytest.fixture
async def server():
    server = Server(capacity=3, idle_seconds=60.0)
    async with server.running():
        yield server


async def test_a_sequence_goes_on_from_its_state(server):
    first = server.ask([1, 2], sequence=5, start=True)
    assert await sums(first) == [[101, 103]]
    second = server.ask([4], sequence=5)
    assert await sums(second) == [[107]]
    assert [position(await result(future)) for future in (first, second)] == [2, 3]


async def test_two_sequences_never_share_a_state(server):
    for sequence, value in ((5, 1), ("5", 2), ("a", 3)):
        await sums(server.ask([value], sequence=sequence, start=True))
    asked = [server.ask([10], sequence=sequence) for sequence in (5, "5", "a")]
    assert [await sums(future) for future in asked] == [[[111]], [[112]], [[113]]]


async def test_steps_sent_without_waiting_are_done_in_order(server):
    asked = [server.ask([number], sequence=5, start=number == 1, end=number == 4) for number in (1, 2, 3, 4)]
    assert [await sums(future) for future in asked] == [[[101]], [[103]], [[106]], [[110]]]
    assert (len(server.sessions), server.live()) == (0, 0)


async def test_end_answers_and_then_forgets(server):
    await result(server.ask([1], sequence=5, start=True))
    assert await sums(server.ask([2], sequence=5, end=True)) == [[103]]
    assert (len(server.sessions), server.live()) == (0, 0)


async def test_start_and_end_may_come_together(server):
    assert await sums(server.ask([1], sequence=5, start=True, end=True)) == [[101]]
    assert (len(server.sessions), server.live()) == (0, 0)


async def test_a_step_of_a_sequence_never_begun_is_refused(server):
    error = await result(server.ask([1], sequence="new"))
    assert isinstance(error, SequenceGone)
    assert all(word in error.sentence for word in ("'new'", "'adder'", "unknown", "sequence_start"))


async def test_a_step_after_the_end_is_told_so(server):
    await result(server.ask([1], sequence=5, start=True, end=True))
    error = await result(server.ask([1], sequence=5))
    assert isinstance(error, SequenceGone)
    assert "has ended" in error.sentence


async def test_a_step_after_expiry_is_told_so(server):
    await result(server.ask([1], sequence=5, start=True))
    server.clock.now += 61
    assert await server.sessions.expire() == 1
    error = await result(server.ask([1], sequence=5))
    assert isinstance(error, SequenceGone)
    assert "expired after 60 s" in error.sentence


async def test_a_sequence_begun_again_is_not_remembered_as_gone(server):
    await result(server.ask([1], sequence=5, start=True, end=True))
    assert await sums(server.ask([1], sequence=5, start=True)) == [[101]]
    assert await sums(server.ask([1], sequence=5)) == [[102]]


async def test_start_on_a_live_sequence_begins_it_anew(server):
    await result(server.ask([1, 2], sequence=5, start=True))
    again = await result(server.ask([7], sequence=5, start=True))
    assert (again.outputs["y"].ravel().tolist(), position(again)) == ([107], 1)
    assert (len(server.sessions), server.live()) == (1, 1)


@pytest.mark.parametrize("bad", [INFINITE, BROKEN])
async def test_a_failed_step_leaves_state_and_position(server, bad):
    await result(server.ask([1], sequence=5, start=True))
    assert isinstance(await result(server.ask([bad], sequence=5, end=True)), RecurError)
    after = await result(server.ask([1], sequence=5))
    assert (after.outputs["y"].ravel().tolist(), position(after)) == ([102], 2)


async def test_a_failed_start_on_a_live_sequence_leaves_it(server):
    await result(server.ask([1], sequence=5, start=True))
    assert isinstance(await result(server.ask([INFINITE], sequence=5, start=True)), NotFinite)
    assert await sums(server.ask([1], sequence=5)) == [[102]]


async def test_a_failed_start_begins_nothing(server):
    assert isinstance(await result(server.ask([INFINITE], sequence=5, start=True)), NotFinite)
    assert (len(server.sessions), server.live()) == (0, 0)
    assert isinstance(await result(server.ask([1], sequence=5)), SequenceGone)


async def test_a_request_without_a_sequence_keeps_nothing(server):
    answer = await result(server.ask([1, 2], [3]))
    assert answer.outputs["y"][..., 0].tolist() == [[101, 103], [103, 0]]
    assert (len(server.sessions), server.live()) == (0, 0)


async def test_a_sequence_over_the_limit_is_refused_and_the_others_go_on(server):
    for sequence in (1, 2, 3):
        await result(server.ask([1], sequence=sequence, start=True))
    assert isinstance(await result(server.ask([1], sequence=4, start=True)), SequencesFull)
    assert await sums(server.ask([1])) == [[101]], "what keeps nothing needs no room"
    assert await sums(server.ask([1], sequence=1, end=True)) == [[102]]
    assert await sums(server.ask([1], sequence=4, start=True)) == [[101]]


async def test_only_idle_sequences_expire(server):
    await result(server.ask([1], sequence="idle", start=True))
    server.clock.now += 30
    await result(server.ask([1], sequence="used", start=True))
    server.clock.now += 29.9
    assert await server.sessions.expire() == 0
    await result(server.ask([1], sequence="used"))
    server.clock.now += 0.1
    assert await server.sessions.expire() == 1
    assert server.live() == 1
    assert await sums(server.ask([1], sequence="used")) == [[103]]
    assert server.metrics.sample("recur_expirations_total", ADDER) == 1


async def test_a_failed_step_does_not_keep_a_sequence_alive_but_shows_it_is_used(server):
    await result(server.ask([1], sequence=5, start=True))
    server.clock.now += 59
    await result(server.ask([2], sequence=5))
    server.clock.now += 59
    assert await server.sessions.expire() == 0


async def test_a_sequence_with_a_chunk_that_waits_does_not_expire():
    server = Server(idle_seconds=60.0)
    async with server.running():
        await result(server.ask([1], sequence="waits", start=True))
        await result(server.ask([1], sequence="idle", start=True))
    server.clock.now += 1000
    waiting = server.ask([1], sequence="waits")
    assert await server.sessions.expire() == 1
    async with server.running():
        assert await sums(waiting) == [[102]]
    server.clock.now += 59
    assert await server.sessions.expire() == 0
    server.clock.now += 1
    assert await server.sessions.expire() == 1


async def test_slots_are_neither_leaked_nor_shared_whatever_happens(server, seed):
    random = np.random.default_rng(seed)
    expected: dict[int, float] = {}
    for _ in range(300):
        sequence = int(random.integers(1, 6))
        value = float(random.choice([1, 2, 3, INFINITE, BROKEN]))
        start, end = bool(random.random() < 0.3), bool(random.random() < 0.2)
        answer = await result(server.ask([value], sequence=sequence, start=start, end=end))
        if not isinstance(answer, RecurError):
            total = value + (100 if start else expected[sequence])
            assert answer.outputs["y"].item() == total
            expected[sequence] = total
            if end:
                del expected[sequence]
        elif start and sequence not in expected and len(expected) == 3:
            assert isinstance(answer, SequencesFull)
        assert (len(server.sessions), server.live()) == (len(expected), len(expected))


async def test_a_new_sequence_gets_the_newest_version_and_a_live_one_goes_on_with_its_own(server):
    await result(server.ask([1], sequence="old", start=True))
    server.publish(SECOND)
    assert await sums(server.ask([1], sequence="old")) == [[102]]
    assert await sums(server.ask([1], sequence="new", start=True)) == [[201]]
    assert await sums(server.ask([1], sequence="new")) == [[202]]
    assert await sums(server.ask([1])) == [[201]]
    assert (server.live(ADDER), server.live(SECOND)) == (1, 1)


async def test_a_version_may_be_named(server):
    server.publish(SECOND)
    assert await sums(server.ask([1], sequence=5, version="1", start=True)) == [[101]]
    assert await sums(server.ask([1], sequence=5, version="1")) == [[102]]
    with pytest.raises(ModelMissing, match="'3'"):
        server.ask([1], sequence=5, version="3")


async def test_a_step_that_names_another_version_is_refused_and_changes_nothing(server):
    await result(server.ask([1], sequence=5, start=True))
    server.publish(SECOND)
    error = await result(server.ask([1], sequence=5, version="2"))
    assert isinstance(error, VersionMismatch)
    assert all(word in error.sentence for word in ("version 1", "version 2"))
    assert await sums(server.ask([1], sequence=5)) == [[102]]


async def test_a_sequence_begun_anew_moves_to_the_newest_version(server):
    await result(server.ask([1], sequence=5, start=True))
    server.publish(SECOND)
    assert await sums(server.ask([1], sequence=5, start=True)) == [[201]]
    assert (server.live(ADDER), server.live(SECOND), len(server.sessions)) == (0, 1, 1)


async def test_a_failed_move_to_the_newest_version_leaves_the_sequence_on_its_own(server):
    await result(server.ask([1], sequence=5, start=True))
    server.publish(SECOND)
    assert isinstance(await result(server.ask([INFINITE], sequence=5, start=True)), NotFinite)
    assert (server.live(ADDER), server.live(SECOND), len(server.sessions)) == (1, 0, 1)
    assert await sums(server.ask([1], sequence=5)) == [[102]]


@pytest.mark.parametrize("totals", [Totals(max_total_sequences=2), Totals(max_total_state_bytes=24)])
async def test_a_full_server_lets_a_sequence_that_it_has_begin_anew_on_a_newer_version(totals):
    server = Server(totals=totals)
    assert server.catalogue[ADDER].store.slot_bytes == 12
    async with server.running():
        for sequence in (5, 6):
            await result(server.ask([1], sequence=sequence, start=True))
        server.publish(SECOND)
        assert isinstance(await result(server.ask([INFINITE], sequence=5, start=True)), NotFinite)
        assert (server.live(ADDER), server.live(SECOND)) == (2, 0), "what fails moves nobody"
        assert await sums(server.ask([1], sequence=5, start=True)) == [[201]]
        assert (server.live(ADDER), server.live(SECOND), len(server.sessions)) == (1, 1, 2)
        assert isinstance(await result(server.ask([1], sequence=7, start=True)), (SequencesFull, StateFull))
        assert await sums(server.ask([1], sequence=6)) == [[102]]


async def test_steps_sent_behind_a_start_go_to_its_version(server):
    await result(server.ask([1], sequence="old", start=True))
    server.publish(SECOND)
    asked = [server.ask([1], sequence="old", start=True), server.ask([1], sequence="old")]
    assert [await sums(future) for future in asked] == [[[201]], [[202]]]


async def test_a_version_published_between_a_start_and_its_steps_is_not_theirs():
    server = Server()
    begun = server.ask([1], sequence="new", start=True)
    server.publish(SECOND)
    step = server.ask([1], sequence="new")
    async with server.running():
        assert [await sums(begun), await sums(step)] == [[[101]], [[102]]]


def other_outputs():
    """A version whose answers have another name, so that one version's never pass for the other's."""
    return {"outputs": (TensorSpec("total", "FP32", ("time", 1)),)}


async def test_the_end_of_a_sequence_is_answered_again_by_its_version_when_another_is_published(server):
    await result(server.ask([1], sequence=5, start=True, step=0))
    first = await result(server.ask([2], sequence=5, end=True, step=1))
    server.publish(SECOND, **other_outputs())
    again = await result(server.ask([2], sequence=5, end=True, step=1))
    assert again.replayed.tolist() == [True]
    assert again.outputs["y"].tolist() == first.outputs["y"].tolist()


async def test_a_whole_sequence_is_answered_again_by_its_version_when_another_is_published(server):
    whole = {"sequence": 5, "start": True, "end": True, "step": 0}
    first = await result(server.ask([1, 2], **whole))
    server.publish(SECOND, **other_outputs())
    again = await result(server.ask([1, 2], **whole))
    assert again.replayed.tolist() == [True]
    assert again.outputs["y"].tolist() == first.outputs["y"].tolist()


async def test_a_start_after_longer_sequences_gets_the_newest_version(server):
    await result(server.ask([1], sequence=5, start=True, step=0))
    await result(server.ask([2], sequence=5, end=True, step=1))
    server.publish(SECOND)
    assert await sums(server.ask([1], sequence=5, start=True, step=0)) == [[201]]


async def test_what_ended_on_another_version_than_is_named_is_not_answered_again(server):
    await result(server.ask([1], sequence=5, start=True, step=0))
    await result(server.ask([2], sequence=5, end=True, step=1))
    server.publish(SECOND, **other_outputs())
    error = await result(server.ask([2], sequence=5, end=True, step=1, version="2"))
    assert isinstance(error, SequenceGone)
    assert "has ended" in error.sentence
    assert await sums(server.ask([1], sequence=6, version="1", start=True)) == [[101]], "the engine goes on"


async def test_what_ended_on_a_version_that_is_gone_is_not_looked_for_there(server):
    third = ModelKey(ADDER.name, 3)
    await result(server.ask([1], sequence=5, start=True, step=0))
    server.publish(SECOND)
    await result(server.ask([1], sequence=6, start=True, step=0))
    await server.sessions.end_all(ADDER, "ended with its version")
    server.publish(third)
    assert await sums(server.ask([1], sequence=5, start=True, step=0)) == [[301]]


async def test_the_sequences_of_a_version_can_all_be_ended_and_are_told_how(server):
    for sequence in (5, "5"):
        await result(server.ask([1], sequence=sequence, start=True))
    server.publish(SECOND)
    await result(server.ask([1], sequence="new", start=True))
    assert (server.sessions.live(ADDER), server.sessions.live(SECOND)) == (2, 1)
    await server.sessions.end_all(ADDER, "ended with its version")
    assert (server.live(ADDER), server.live(SECOND), len(server.sessions)) == (0, 1, 1)
    error = await result(server.ask([1], sequence=5))
    assert isinstance(error, SequenceGone)
    assert "ended with its version" in error.sentence
    assert await sums(server.ask([1], sequence="new")) == [[202]]


async def test_rows_for_many_sequences_find_their_versions(server):
    await result(server.ask([1], sequence="old", start=True))
    await result(server.ask([1], sequence="counted", start=True, step=0))
    model = server.sessions.route(ADDER.name, "", SCOPE, None, start=False, numbered=False)
    asked = chunk(*[[1]] * 3, ids=["old", "counted", "none"], start=[False, True, False], step=[-1, 0, -1])
    rows = np.arange(3)
    assert server.sessions.settled(model)
    server.publish(SECOND)
    newest = server.catalogue[SECOND]
    asked.model = SECOND
    assert not server.sessions.settled(newest)
    routes, refused = server.sessions.routes(newest, asked, rows, named=False)
    routed = {found.key: rows_.tolist() for found, rows_ in routes}
    assert refused == {}
    assert routed == {ADDER: [0, 1], SECOND: [2]}
    anew = chunk([1], ids=["old"], start=True, model=SECOND)
    assert [found.key for found, _ in server.sessions.routes(newest, anew, rows[:1], named=False)[0]] == [SECOND]


async def test_the_reaper_ends_idle_sequences_until_it_is_cancelled(server, monkeypatch):
    await result(server.ask([1], sequence=5, start=True))
    server.clock.now += 60
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if slept.count(1.0) == 2:
            await asyncio.Event().wait()

    monkeypatch.setattr("server.sessions.asyncio", SimpleNamespace(sleep=sleep))
    reaping = asyncio.create_task(server.sessions.reap())
    while slept.count(1.0) < 2:
        await asyncio.wait([reaping], timeout=0)
    reaping.cancel()
    await asyncio.gather(reaping, return_exceptions=True)
    assert slept == [1.0, 0, 1.0]
    assert isinstance(await result(server.ask([1], sequence=5)), SequenceGone)


async def begin_many(server: Server, count: int) -> None:
    flags = {"start": True, "step": 0}
    assert not (await server.ask_many(range(1, count + 1), *[[1]] * count, **flags)).errors
    assert len(server.sessions) == count


@pytest.mark.parametrize("ending", ["expire", "end_all"])
async def test_requests_have_their_turn_while_many_sequences_are_ended(ending):
    count = 5 * AT_ONCE
    server = Server(capacity=count, max_batch=count)
    async with server.running():
        await begin_many(server, count)
        server.clock.now += 61
        others = [server.ask([2])]
        work = server.sessions.expire() if ending == "expire" else server.sessions.end_all(ADDER, "went")
        task = asyncio.create_task(work)
        assert await sums(others[0]) == [[102]]
        assert not task.done(), "others waited for all of them"
        await task
    assert (len(server.sessions), server.live()) == (0, 0)


async def test_a_sequence_that_steps_while_others_are_ended_for_idleness_lives_on():
    count = 20 * AT_ONCE
    server = Server(capacity=count, max_batch=count)
    async with server.running():
        await begin_many(server, count)
        server.clock.now += 61
        expiring = asyncio.create_task(server.sessions.expire())
        while not server.metrics.sample("recur_expirations_total", ADDER):
            await asyncio.wait([expiring], timeout=0)
        assert await sums(server.ask([2], sequence=count)) == [[103]]
        assert not expiring.done(), "it was the last in line"
        assert await expiring == count - 1
    assert len(server.sessions) == 1


async def test_a_version_that_goes_while_its_sequences_are_ended_for_idleness_is_let_go():
    count = 3 * AT_ONCE
    server = Server(capacity=count, max_batch=count)
    async with server.running():
        await begin_many(server, count)
        server.clock.now += 61
        expired, _ = await asyncio.gather(server.sessions.expire(), server.sessions.end_all(ADDER, "went"))
        assert 0 < expired < count
        server.catalogue.unload(ADDER, "went")
        assert (len(server.sessions), await server.sessions.expire()) == (0, 0)


@pytest.mark.parametrize("end", [False, True])
async def test_a_step_in_flight_of_a_sequence_that_is_ended_with_its_version_is_told_so(server, end):
    await result(server.ask([1], sequence=5, start=True))
    begun, gate, run, loop = asyncio.Event(), threading.Event(), server.runner.run, asyncio.get_running_loop()

    def held(*given):
        loop.call_soon_threadsafe(begun.set)
        gate.wait(PATIENCE_SECONDS)
        return run(*given)

    server.runner.run = held
    asked = server.ask([1] * 5000, sequence=5, end=end)
    await begun.wait()
    await server.sessions.end_all(ADDER, "went with its version")
    gate.set()
    error = await result(asked)
    assert isinstance(error, SequenceGone)
    assert "went with its version" in error.sentence
    assert (len(server.sessions), server.live()) == (0, 0)
    assert await sums(server.ask([1])) == [[101]], "the engine goes on"
