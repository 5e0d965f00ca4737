import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import RecurError
from server.pb import grpc_service_pb2 as pb
from tests.server.fakes import REFUSED, result
from tests.server.rpc.generations import Reader, Served, told, write
from tests.server.rpc.requests import columns, one


@pytest.fixture
async def served():
    served = Served()
    async with served.server.running():
        yield served


def values_of(answers):
    return [value for answer in answers for value in columns(answer)["y"].ravel().tolist()]


def of(reader, sequence):
    """The answers that one sequence's generation was sent, which has its sequence's name."""
    return [answer for answer in reader.sent if answer.id == str(sequence)]


def asked(sequence, *, steps=4, **parameters):
    request = write([sequence], sequence=sequence, steps=steps, **parameters)
    request.id = str(sequence)
    return request


def doubled(sequence, steps):
    return [(100 + sequence) * 2.0**step for step in range(steps)]


async def test_generations_of_one_stream_are_rows_of_one_chunk(served):
    served.reader.reads = False
    sent = [served.send(asked(number)) for number in (1, 2, 3)]
    await served.reader.held()
    assert served.server.scheduler.waiting("adder") == 3
    assert len(set(map(id, served.server.scheduler._held.values()))) == 1
    while not all(last.done() for last in sent):
        served.reader.resume()
        await asyncio.sleep(0)
    assert served.runner.rows == [3] * 4
    for number, last in zip((1, 2, 3), sent, strict=True):
        assert values_of([*of(served.reader, number), last.result()]) == doubled(number, 4)


async def test_one_of_another_priority_has_a_chunk_of_its_own(served):
    served.reader.reads = False
    sent = [served.send(asked(number, priority=number)) for number in (1, 2)]
    await served.reader.held()
    assert len(set(map(id, served.server.scheduler._held.values()))) == 2
    served.reader.reads = True
    for cohort in list(served.reader.cohorts.values()):
        cohort._resume()
    assert [told(await result(last)) for last in sent] == [(4, "length")] * 2


async def test_no_chunk_has_more_rows_than_a_batch():
    served = Served(max_batch=2)
    async with served.server.running():
        sent = [served.send(asked(number)) for number in range(1, 6)]
        lasts = [await result(last) for last in sent]
    assert max(served.runner.rows) == 2
    for number, last in enumerate(lasts, 1):
        assert values_of([*of(served.reader, number), last]) == doubled(number, 4)


GENERATIONS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(GENERATIONS, st.integers(1, 9))
def test_each_writes_what_it_writes_alone_whoever_comes_and_goes_beside_it(generations, most):
    """Each of so many steps, so many to an answer, counted or not, begun after so many passes of the loop."""

    async def run():
        served = Served(max_batch=most)
        async with served.server.running():
            sent = []
            for number, (steps, together, counted, later) in enumerate(generations, 1):
                for _ in range(later):
                    await asyncio.sleep(0)
                step = {"recur_step": 0} if counted else {}
                sent.append(served.send(asked(number, steps=steps, recur_answer_steps=together, **step)))
            lasts = [await result(last) for last in sent]
        return served.reader, lasts

    reader, lasts = asyncio.run(run())
    for number, ((steps, *_), last) in enumerate(zip(generations, lasts, strict=True), 1):
        assert not isinstance(last, RecurError), last
        assert values_of([*of(reader, number), last]) == doubled(number, steps)
        assert [told(answer)[1] for answer in of(reader, number)] == [""] * len(of(reader, number))
        assert told(last) == (steps, "length")


async def test_a_row_that_fails_ends_alone(served):
    fails = one([REFUSED / 2 - 100], sequence_id=7, sequence_start=True)
    await served.ask(fails)
    sent = [served.send(asked(number)) for number in (1, 2)]
    failing = served.send(write([REFUSED / 2], sequence=7, start=False, steps=5))
    assert (await result(failing)).reason == "MODEL_REFUSED"
    lasts = [await result(last) for last in sent]
    for number, last in zip((1, 2), lasts, strict=True):
        assert values_of([*of(served.reader, number), last]) == doubled(number, 4)


async def test_one_that_is_given_up_while_all_wait_leaves_the_others_and_its_sequence(served):
    served.reader.reads = False
    sent = [served.send(asked(number)) for number in (1, 2, 3)]
    behind = served.send(one([5], sequence_id=2))
    await served.reader.held()
    scope = served.chunks[0].scope
    served.server.engine.abandon(scope, 2, RecurError("given up"))
    assert (await result(sent[1])).sentence == "given up"
    assert served.server.scheduler.waiting("adder") == 2
    assert columns(await result(behind))["y"].item() == 107
    served.reader.reads = True
    served.reader.resume()
    for number, last in ((1, await result(sent[0])), (3, await result(sent[2]))):
        assert values_of([*of(served.reader, number), last]) == doubled(number, 4)
    assert len(served.server.scheduler) == 0


async def test_a_stream_that_ends_drops_all_of_them_and_a_seat_is_free_again(served):
    served.reader.reads = False
    chunks = []
    for number in (1, 2, 3):
        served.send(asked(number))
        chunks.append(served.chunks)
    await served.reader.held()
    for held in chunks:
        served.inbox.cancel(held)
    assert len(served.server.scheduler) == 0
    reader = Reader()
    answers = [served.send(one([0], sequence_id=number), reader=reader) for number in (1, 2, 3)]
    assert [columns(await result(answer))["y"].item() for answer in answers] == [101, 102, 103]


async def test_what_is_not_written_yet_comes_before_the_last_answer(served):
    reader = Reader()
    reader.unwritten = []
    lasts = [
        served.send(asked(number, steps=steps, recur_answer_steps=64), reader=reader)
        for number, steps in ((1, 3), (2, 6))
    ]
    first = await result(lasts[0])
    another = served.send(asked(3, steps=2, recur_answer_steps=64), reader=reader)
    second, third = await result(lasts[1]), await result(another)
    answers = [pb.ModelInferResponse.FromString(answer()) for answer in reader.unwritten]
    for number, steps, last in ((1, 3, first), (2, 6, second), (3, 2, third)):
        own = [answer for answer in answers if answer.id == str(number)]
        assert values_of([*own, last]) == doubled(number, steps)


async def test_a_cohort_is_forgotten_with_its_last_generation(served):
    lasts = [served.send(asked(number)) for number in (1, 2)]
    [await result(last) for last in lasts]
    [cohort] = served.reader.cohorts.values()
    assert cohort.chunks == []
    assert np.flatnonzero([found is not None for found in cohort._generations]).tolist() == []
