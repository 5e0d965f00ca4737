"""Requests and answers over gRPC for asyncio: a call for each, or one stream for all."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any, final

import grpc
from tritonclient.grpc import service_pb2_grpc

from client.channel import OPTIONS, Options
from client.errors import InvalidRequest, Timeout, Unavailable
from client.messages import Event, Notice, Request
from client.plans import Call, Effect, More, Pause
from client.routes import Routes
from client.status import call_error
from client.wire import Message, decode, decode_streamed, encode

Stub = Any  # tritonclient ships no types
OnNotice = Callable[[Notice], None] | None


@final
class Transport:
    """A channel, and the stream on it while there is one."""

    def __init__(
        self, address: str, on_notice: OnNotice, credentials: grpc.ChannelCredentials | None, options: Options
    ) -> None:
        every = [*OPTIONS, *options]
        self._channel = (
            grpc.aio.secure_channel(address, credentials, every)
            if credentials
            else grpc.aio.insecure_channel(address, every)
        )
        self._stub: Stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._on_notice = on_notice
        self._numbers = itertools.count(1)
        self._stream: Stream | None = None

    def request_id(self) -> str:
        """Name a try; no two have the same name."""
        return str(next(self._numbers))

    async def call(self, request: Request, seconds: float) -> Event:
        """Ask by a call of its own."""
        try:
            return decode(await self._stub.ModelInfer(encode(request, self.request_id()), timeout=seconds))
        except grpc.RpcError as error:
            return call_error(error)

    def stream(self) -> "Stream":
        """Give the stream, another where the last has ended."""
        if self._stream is None or self._stream.routes.ended:
            self._stream = Stream(self._stub, self._on_notice)
        return self._stream

    def own_stream(self) -> "Stream":
        """Give a stream that nobody else uses, for who may want to end it."""
        return Stream(self._stub, self._on_notice)

    async def close(self) -> None:
        """End the stream and the channel."""
        if self._stream is not None:
            await self._stream.close()
        await self._channel.close()


@final
class Stream:
    """One gRPC stream; a task reads it."""

    def __init__(self, stub: Stub, on_notice: OnNotice) -> None:
        self.routes = Routes(on_notice)
        self._notices = on_notice is not None
        self._requests: asyncio.Queue[Message | None] = asyncio.Queue()
        self._call = stub.ModelStreamInfer(self._written())
        self._reader = asyncio.create_task(self._read())

    def send(self, request: Request, request_id: str) -> "asyncio.Queue[Event]":
        """Send a request; its answers come into the queue."""
        answers: asyncio.Queue[Event] = asyncio.Queue()
        message = encode(request, request_id, notices=self._notices)
        self._notices = False
        self.routes.open(request_id, answers.put_nowait, many=request.many)
        self._requests.put_nowait(message)
        return answers

    async def close(self) -> None:
        """End the stream and wait for its task, but for where that task itself ends it."""
        self._call.cancel()
        if asyncio.current_task() is not self._reader:
            await asyncio.wait([self._reader])

    def cut(self) -> None:
        """Give up a stream that is silent."""
        self.routes.end(Unavailable("the stream was silent for the whole of a try"))
        self._call.cancel()

    async def _written(self) -> AsyncIterator[Message]:
        while (message := await self._requests.get()) is not None:
            yield message

    async def _read(self) -> None:
        error = None
        try:
            async for message in self._call:
                self.routes.deliver(*decode_streamed(message))
        except grpc.RpcError as raised:
            error = call_error(raised)
        except asyncio.CancelledError:
            # gRPC tells so of a call that was cancelled; where this task was, it is over in any case.
            error = Unavailable("the stream was closed here")
        finally:
            self._call.cancel()
            self.routes.end(error)
            self._requests.put_nowait(None)  # ends the task of gRPC's that waits for a request


@final
class Exchange:
    """Performs the effects of one plan."""

    def __init__(self, transport: Transport, *, streamed: bool) -> None:
        self._transport = transport
        self._streamed = streamed
        self._own: Stream | None = None

    async def perform(self, effect: Effect) -> Event | None:
        """Do it, and give its result."""
        match effect:
            case Call(request, seconds) if self._streamed or request.many:
                await self.close()
                self._stream, self._id = self._open(request), self._transport.request_id()
                heard = self._stream.routes.heard
                try:
                    self._answers = self._stream.send(request, self._id)
                except InvalidRequest as error:
                    return error
                return await self._next(heard, seconds)
            case Call(request, seconds):
                return await self._transport.call(request, seconds)
            case More(_, seconds):
                return await self._next(self._stream.routes.heard, seconds)
            case Pause(seconds):
                await asyncio.sleep(seconds)
        return None

    async def close(self) -> None:
        """End the stream of its own, if there is one: what the server still generates for it ends with it."""
        if self._own is not None:
            await self._own.close()
            self._own = None

    def _open(self, request: Request) -> Stream:
        if not request.many:
            return self._transport.stream()
        self._own = self._transport.own_stream()
        return self._own

    async def _next(self, heard: int, seconds: float) -> Event:
        try:
            async with asyncio.timeout(seconds):
                return await self._answers.get()
        except TimeoutError:
            self._stream.routes.close(self._id)
            if self._stream.routes.heard == heard:
                self._stream.cut()
            return Timeout(f"no answer within {seconds:.3g} seconds")
