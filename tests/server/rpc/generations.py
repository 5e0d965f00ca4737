"""Generations for tests: clients that read as they like, and an inbox over a model that feeds back what it answers."""

import asyncio
import time

from models.manifest import Decode
from server.errors import RecurError
from server.pb import grpc_service_pb2 as pb
from server.rpc.inbox import Inbox
from tests.server.fakes import PATIENCE_SECONDS, Server, result
from tests.server.rpc.requests import columns, one


class Reader:
    """A client of a stream: keeps what is sent, and may read slowly or go away."""

    def __init__(self) -> None:
        self.open, self.reads = True, True
        self.sent: list[pb.ModelInferResponse] = []
        self.holding = asyncio.Event()
        self.resume = None
        self.leaves_after = 0
        self.unwritten = None
        self.cohorts = {}

    def send(self, answer):
        if self.unwritten is not None:
            self.unwritten.append(answer)
            return
        self.sent.append(pb.ModelInferResponse.FromString(answer()))
        if len(self.sent) == self.leaves_after:
            self.open = False

    def waits(self, *, full):
        return full and not self.reads

    def hold(self, resume):
        self.resume = resume
        self.holding.set()

    async def held(self):
        """Wait until a generation waits for this client."""
        await asyncio.wait_for(self.holding.wait(), PATIENCE_SECONDS)
        self.holding.clear()


class Served:
    """An inbox over adders that feed back what they answer: each generated step doubles the sum."""

    def __init__(self, **limits) -> None:
        self.server = Server(**limits)
        self.server.clock.now = time.monotonic()
        self.runner = self.server.publish(decode=Decode("y", "x", "identity"))
        self.inbox = Inbox(self.server.sessions, self.server.metrics, self.server.limits)
        self.reader = Reader()

    def send(self, request, *, reader=None):
        future = asyncio.get_running_loop().create_future()

        def reply(request_id, answer):
            assert not future.done(), "answered twice"
            assert request_id == request.id
            future.set_result(answer if isinstance(answer, RecurError) else pb.ModelInferResponse.FromString(answer))

        self.chunks = self.inbox.take(request.SerializeToString(), reply, answers=reader or self.reader)
        return future

    async def ask(self, request, **options):
        return await result(self.send(request, **options))

    async def generated(self, request, **options):
        """The values of all answers of one generation, and its last answer."""
        reader = options.setdefault("reader", Reader())
        last = await self.ask(request, **options)
        assert isinstance(last, pb.ModelInferResponse), last
        return [columns(answer)["y"].item() for answer in (*reader.sent, last)], last


def write(values=(1,), *, steps=3, sequence="s", start=True, **parameters):
    return one(values, id_="g", sequence_id=sequence, sequence_start=start, recur_max_steps=steps, **parameters)


def told(answer):
    return answer.parameters["recur_step"].int64_param, answer.parameters["recur_finish_reason"].string_param
