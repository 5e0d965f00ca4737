"""Requests and answers over gRPC for threads: a call for each, or one stream for all."""

import itertools
import queue
import threading
import time
from collections.abc import Callable
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
            grpc.secure_channel(address, credentials, every) if credentials else grpc.insecure_channel(address, every)
        )
        self._stub: Stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._on_notice = on_notice
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._stream: Stream | None = None

    def request_id(self) -> str:
        """Name a try; no two have the same name."""
        return str(next(self._numbers))

    def call(self, request: Request, seconds: float) -> Event:
        """Ask by a call of its own."""
        try:
            return decode(self._stub.ModelInfer(encode(request, self.request_id()), timeout=seconds))
        except grpc.RpcError as error:
            return call_error(error)

    def stream(self) -> "Stream":
        """Give the stream, another where the last has ended."""
        with self._lock:
            if self._stream is None or self._stream.routes.ended:
                self._stream = Stream(self._stub, self._on_notice)
            return self._stream

    def own_stream(self) -> "Stream":
        """Give a stream that nobody else uses, for who may want to end it."""
        return Stream(self._stub, self._on_notice)

    def close(self) -> None:
        """End the stream and the channel."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()
        self._channel.close()


@final
class Stream:
    """One gRPC stream; a thread reads it."""

    def __init__(self, stub: Stub, on_notice: OnNotice) -> None:
        self.routes = Routes(on_notice)
        self._notices = on_notice is not None
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._call = stub.ModelStreamInfer(iter(self._requests.get, None))
        self._reader = threading.Thread(target=self._read, name="recur-stream", daemon=True)
        self._reader.start()

    def send(self, request: Request, request_id: str) -> "queue.SimpleQueue[Event]":
        """Send a request; its answers come into the queue."""
        answers: queue.SimpleQueue[Event] = queue.SimpleQueue()
        message = encode(request, request_id, notices=self._notices)
        self._notices = False
        self.routes.open(request_id, answers.put, many=request.many)
        self._requests.put(message)
        return answers

    def close(self) -> None:
        """End the stream and wait for its thread, but for where that thread itself ends it."""
        self._call.cancel()
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def cut(self) -> None:
        """Give up a stream that is silent."""
        self.routes.end(Unavailable("the stream was silent for the whole of a try"))
        self._call.cancel()

    def _read(self) -> None:
        error = None
        try:
            for message in self._call:
                self.routes.deliver(*decode_streamed(message))
        except grpc.RpcError as raised:
            error = call_error(raised)
        finally:
            self._call.cancel()
            self.routes.end(error)
            self._requests.put(None)  # frees gRPC's thread that waits for a request


@final
class Exchange:
    """Performs the effects of one plan."""

    def __init__(self, transport: Transport, *, streamed: bool) -> None:
        self._transport = transport
        self._streamed = streamed
        self._own: Stream | None = None

    def perform(self, effect: Effect) -> Event | None:
        """Do it, and give its result."""
        match effect:
            case Call(request, seconds) if self._streamed or request.many:
                self.close()
                self._stream, self._id = self._open(request), self._transport.request_id()
                heard = self._stream.routes.heard
                try:
                    self._answers = self._stream.send(request, self._id)
                except InvalidRequest as error:
                    return error
                return self._next(heard, seconds)
            case Call(request, seconds):
                return self._transport.call(request, seconds)
            case More(_, seconds):
                return self._next(self._stream.routes.heard, seconds)
            case Pause(seconds):
                time.sleep(seconds)
        return None

    def close(self) -> None:
        """End the stream of its own, if there is one: what the server still generates for it ends with it."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _open(self, request: Request) -> Stream:
        if not request.many:
            return self._transport.stream()
        self._own = self._transport.own_stream()
        return self._own

    def _next(self, heard: int, seconds: float) -> Event:
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            self._stream.routes.close(self._id)
            if self._stream.routes.heard == heard:
                self._stream.cut()
            return Timeout(f"no answer within {seconds:.3g} seconds")
