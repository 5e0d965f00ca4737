import asyncio
import logging

import grpc
import pytest

from server.errors import Draining, SequenceGone
from server.pb import grpc_service_pb2 as pb
from server.rpc import stream
from server.rpc.stream import Stream
from server.types import Scope
from tests.server.fakes import PATIENCE_SECONDS, SECRET
from tests.server.rpc.fakes import FakeInbox, method, service, serving


class FakeContext:
    """A client that sends what is queued, and reads answers only while it wants to."""

    def __init__(self, requests) -> None:
        self.requests = asyncio.Queue()
        for request in requests:
            self.requests.put_nowait(request)
        self.wants = asyncio.Event()
        self.wants.set()
        self.written: list[pb.ModelStreamInferResponse] = []

    async def read(self):
        return await self.requests.get()

    async def write(self, data):
        await self.wants.wait()
        self.written.append(pb.ModelStreamInferResponse.FromString(data))

    def end(self):
        self.requests.put_nowait(grpc.aio.EOF)


def request(number) -> bytes:
    return pb.ModelInferRequest(id=str(number)).SerializeToString()


async def settle():
    """Let every task go on until all of them wait."""
    for _ in range(50):
        await asyncio.sleep(0)


async def finish(serving_):
    await asyncio.wait_for(serving_, PATIENCE_SECONDS)


def serve(inbox, context, draining=None):
    return asyncio.create_task(Stream(inbox, context).serve(draining or asyncio.Event()))


async def test_answers_leave_as_they_are_ready_with_their_requests_ids():
    inbox, context = FakeInbox(), FakeContext([request("a"), request("b")])
    context.end()
    served = serve(inbox, context)
    await settle()
    inbox.answer(1)
    inbox.answer(0)
    await finish(served)
    assert [answer.infer_response.id for answer in context.written] == ["b", "a"]
    assert inbox.cancelled == []


async def test_a_request_does_not_wait_for_the_answers_of_others():
    inbox, context = FakeInbox(), FakeContext([request(number) for number in range(5)])
    served = serve(inbox, context)
    await settle()
    assert len(inbox.taken) == 5
    served.cancel()
    await asyncio.gather(served, return_exceptions=True)


async def test_an_error_is_a_message_and_the_stream_stays_open():
    inbox, context = FakeInbox(), FakeContext([b"\xff", request("a")])
    served = serve(inbox, context)
    await settle()
    inbox.reply(0, SequenceGone("it has ended"))
    context.requests.put_nowait(request("b"))
    context.end()
    await settle()
    inbox.answer(1)
    await finish(served)
    assert [(answer.error_message.split(":")[0], answer.infer_response.id) for answer in context.written] == [
        ("INVALID_ARGUMENT INVALID_REQUEST", ""),
        ("[request id", "a"),
        ("", "b"),
    ]


async def test_what_nobody_expected_fails_its_request_alone_and_is_told_to_the_log(caplog):
    inbox, context = FakeInbox(), FakeContext([request("a")])
    inbox.refusal = RuntimeError(SECRET)
    served = serve(inbox, context)
    await settle()
    inbox.refusal = None
    context.requests.put_nowait(request("b"))
    context.end()
    await settle()
    assert not served.done(), "the other request waits for its answer"
    inbox.answer(1)
    await finish(served)
    failed, answered = context.written
    assert failed.error_message.startswith("[request id: a] INTERNAL INTERNAL: ")
    assert SECRET not in failed.error_message
    assert answered.infer_response.id == "b"
    assert [record.exc_info[1].args for record in caplog.records if record.levelno == logging.ERROR] == [(SECRET,)]


async def test_the_requests_of_a_stream_are_one_clients():
    inbox, other = FakeInbox(), FakeInbox()
    tasks = [serve(inbox, FakeContext([request("a"), request("b")])), serve(other, FakeContext([request("c")]))]
    await settle()
    assert inbox.clients[0] == inbox.clients[1] != other.clients[0]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slow_reader_bounds_what_is_read(monkeypatch):
    monkeypatch.setattr(stream, "OPEN_REQUESTS", 3)
    inbox, context = FakeInbox(), FakeContext([request(number) for number in range(10)])
    context.wants.clear()
    served = serve(inbox, context)
    await settle()
    for number in range(3):
        inbox.answer(number)
    await settle()
    assert len(inbox.taken) == 3, "answered, but not read by the client"
    context.wants.set()
    for number in range(3, 10):
        await settle()
        assert len(inbox.taken) <= number + 3
        inbox.answer(number)
    context.end()
    await finish(served)
    assert [answer.infer_response.id for answer in context.written] == [str(number) for number in range(10)]


async def test_while_the_queue_is_half_full_a_stream_has_its_share_there_and_no_more(monkeypatch):
    monkeypatch.setattr(stream, "QUEUED", 3)
    inbox, context = FakeInbox(), FakeContext([request(number) for number in range(10)])
    inbox.full = True
    served = serve(inbox, context)
    await settle()
    assert len(inbox.taken) == 3
    inbox.answer(1)
    await settle()
    assert len(inbox.taken) == 4
    inbox.full = False
    inbox.answer(0)
    await settle()
    assert len(inbox.taken) == 10
    served.cancel()
    await asyncio.gather(served, return_exceptions=True)


async def test_who_answers_a_request_many_times_is_told_to_wait_until_the_client_has_read(monkeypatch):
    monkeypatch.setattr(stream, "UNREAD", 3)
    inbox, context = FakeInbox(), FakeContext([request("a")])
    context.wants.clear()
    served = serve(inbox, context)
    await settle()
    [answers] = inbox.answers
    partial = pb.ModelInferResponse(id="a").SerializeToString
    for waits in (False, False, True):
        answers.send(partial)
        assert answers.waits(full=True) == waits
    assert answers.waits(full=False), "others wait too, so that all go on together"
    resumed = []
    answers.hold(lambda: resumed.append(len(context.written)))
    await settle()
    assert resumed == []
    context.wants.set()
    await settle()
    assert resumed == [3]
    assert not answers.waits(full=True)
    inbox.answer(0)
    context.end()
    await finish(served)
    assert [answer.infer_response.id for answer in context.written] == ["a"] * 4
    assert not answers.open


async def test_an_answer_is_encoded_when_it_is_written():
    inbox, context = FakeInbox(), FakeContext([request("a")])
    context.wants.clear()
    served = serve(inbox, context)
    await settle()
    [answers] = inbox.answers
    ids = ["first", "second"]
    for _ in range(2):
        answers.send(lambda: pb.ModelInferResponse(id=ids.pop()).SerializeToString())
    await settle()
    assert len(ids) == 1, "what is behind one that is being written has time to grow"
    context.wants.set()
    inbox.answer(0)
    context.end()
    await finish(served)
    assert [answer.infer_response.id for answer in context.written] == ["second", "first", "a"]


async def test_a_client_that_has_gone_cancels_what_it_left_in_the_queue():
    inbox, context = FakeInbox(), FakeContext([request(number) for number in range(3)])
    served = serve(inbox, context)
    await settle()
    inbox.answer(1)
    served.cancel()
    await asyncio.gather(served, return_exceptions=True)
    assert inbox.cancelled == [inbox.chunks[0], inbox.chunks[2]]


async def test_a_client_that_ends_its_side_gets_every_answer():
    inbox, context = FakeInbox(), FakeContext([request("a")])
    context.end()
    served = serve(inbox, context)
    await settle()
    assert not served.done()
    inbox.answer(0)
    await finish(served)
    assert [answer.infer_response.id for answer in context.written] == ["a"]


async def test_draining_reads_no_more_and_answers_what_was_read():
    draining = asyncio.Event()
    inbox, context = FakeInbox(), FakeContext([request("a")])
    served = serve(inbox, context, draining)
    await settle()
    draining.set()
    await settle()
    context.requests.put_nowait(request("b"))
    inbox.answer(0)
    await finish(served)
    assert [found.id for found in inbox.taken] == ["a"]
    assert [answer.infer_response.id for answer in context.written] == ["a"]


async def test_a_cancelled_call_cancels_its_chunks_over_a_real_connection():
    inbox = FakeInbox()
    async with serving(service(inbox)) as channel:
        call = channel.stream_stream(method("ModelStreamInfer"))()
        await call.write(request("a"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            await inbox.took.wait()
            call.cancel()
            await inbox.dropped.wait()
    assert inbox.cancelled == inbox.chunks


async def test_a_draining_server_ends_its_streams_with_a_reason():
    served = service()
    async with serving(served) as channel:
        call = channel.stream_stream(method("ModelStreamInfer"))()
        served.draining.set()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await asyncio.wait_for(call.read(), PATIENCE_SECONDS)
    assert ended.value.code() is Draining.code
    assert "DRAINING" in ended.value.details()


async def test_a_stream_that_wants_notices_is_told_unasked_and_of_the_drain():
    draining = asyncio.Event()
    inbox, context = FakeInbox(), FakeContext([request("a")])
    served = serve(inbox, context, draining)
    await settle()
    watch = inbox.watches[0]
    assert watch.wants(said=True)
    watch.notify(Scope("", "adder"), 5, "expired")
    watch.notify(Scope("", "adder"), "5", "model_gone")
    inbox.answer(0)
    await settle()
    draining.set()
    await finish(served)
    told = [
        (found.infer_response.id, found.infer_response.parameters["recur_notice"].string_param)
        for found in context.written
    ]
    assert told == [("", "expired"), ("", "model_gone"), ("a", ""), ("", "drained")]
    first, second = (found.infer_response for found in context.written[:2])
    assert (first.model_name, first.parameters["sequence_id"].int64_param) == ("adder", 5)
    assert second.parameters["sequence_id"].string_param == "5"
    assert inbox.left == [watch]


async def test_a_stream_that_wants_no_notices_is_not_told_of_the_drain():
    draining = asyncio.Event()
    inbox, context = FakeInbox(), FakeContext([])
    served = serve(inbox, context, draining)
    await settle()
    draining.set()
    await finish(served)
    assert context.written == []
