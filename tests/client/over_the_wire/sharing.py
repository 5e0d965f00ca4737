"""Many sequences on one stream, and what one of them does to the others; and that the flavours are one API."""

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from client import aio, blocking
from client.messages import Request
from client.retry import Retry

QUICK = Retry(deadline_seconds=20, try_seconds=5, first_pause_seconds=0.001, longest_pause_seconds=0.05)
LOST = [{}] * 9 + [{"fault": "lose"}]


def test_threads_share_one_stream_that_is_cut_again_and_again(fake):
    def work(name):
        with client.sequence("adder", name) as s:
            return [int(s.step(x=[[1]])["y"][0, 0]) for _ in range(10)]

    fake.tell(faults=LOST * 5)
    with blocking.Client(fake.address, streamed=True, retry=QUICK) as client, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, map(str, range(8)))) == [list(range(1, 11))] * 8
    assert fake.applied == {str(name): 11 for name in range(8)}
    assert {request["way"] for request in fake.requests} == {"stream"}


async def test_tasks_share_one_stream_that_is_cut_again_and_again(fake):
    async def work(name):
        async with client.sequence("adder", name) as s:
            return [int((await s.step(x=[[1]]))["y"][0, 0]) for _ in range(10)]

    fake.tell(faults=LOST * 5)
    async with aio.Client(fake.address, streamed=True, retry=QUICK) as client:
        assert await asyncio.gather(*(work(str(name)) for name in range(8))) == [list(range(1, 11))] * 8
    assert fake.applied == {str(name): 11 for name in range(8)}


async def test_one_answer_that_does_not_come_cuts_no_stream_on_which_others_do(fake):
    retry = Retry(deadline_seconds=20, try_seconds=0.5, first_pause_seconds=0.001)
    async with aio.Client(fake.address, streamed=True, retry=retry) as client:
        fake.tell(faults=[{"fault": "silent"}])
        silent = asyncio.create_task(client.sequence("adder", "silent").step(x=[[1]]))
        await asyncio.sleep(0)  # the silent one is sent first
        other = client.sequence("adder", "other")
        stream = client._transport.stream()
        while not silent.done():
            await other.step(x=[[1]])
        assert (await silent).replayed
        assert client._transport.stream() is stream


async def test_a_cancelled_step_can_be_given_again(fake):
    for streamed in (False, True):
        async with aio.Client(fake.address, streamed=streamed, retry=QUICK) as client:
            fake.tell(faults=[{"fault": "silent"}])
            s = client.sequence("adder")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await s.step(x=[[1]])
            assert (await s.step(x=[[1]])).position == 1
        assert fake.applied[s.id] == 1


def test_closing_a_client_ends_the_thread_of_its_stream_and_what_waits_on_it(fake):
    client = blocking.Client(fake.address, streamed=True, retry=Retry(deadline_seconds=30, try_seconds=30))
    fake.tell(faults=[{"fault": "silent"}])
    stream = client._transport.stream()
    answers = stream.send(Request("adder", {"x": np.array([[1]])}, sequence_id="a", start=True), "1")
    client.close()
    assert answers.get(timeout=20).code == "CANCELLED"
    assert not stream._reader.is_alive()


@pytest.mark.parametrize("name", ["Client", "Sequence", "Sequences"])
def test_the_flavours_have_the_same_names_and_arguments(name):
    def shape(kind):
        members = {
            member.replace("__a", "__"): list(inspect.signature(value).parameters)
            for member, value in vars(kind).items()
            if inspect.isfunction(value) and (not member.startswith("_") or member.endswith(("enter__", "exit__")))
        }
        return members | {key: None for key, value in vars(kind).items() if isinstance(value, property)}

    assert shape(getattr(aio, name)) == shape(getattr(blocking, name))
    assert inspect.signature(aio.Client) == inspect.signature(blocking.Client)
