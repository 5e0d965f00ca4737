"""From a request's message to a queued chunk, and from its answer to a message."""

import time
from collections.abc import Callable
from typing import final

from server.catalogue import ServedModel
from server.codec import Parameters, decode_parameters, decode_tensors, encode_answer, wanted_outputs
from server.errors import InvalidRequest, RecurError
from server.metrics import UNKNOWN, Metrics
from server.pb import grpc_service_pb2 as pb
from server.sessions import Sessions
from server.types import Answer, Chunk, SessionKey

TENANT = ""

# Writes an answer into a message of the caller's: a call's own, or the part of a stream's.
Fill = Callable[[pb.ModelInferResponse], None]
Reply = Callable[[Fill | RecurError], None]


@final
class Inbox:
    """The way of every inference request, of a unary call or of a stream."""

    def __init__(self, sessions: Sessions, metrics: Metrics, *, max_batch: int) -> None:
        self._sessions = sessions
        self._metrics = metrics
        self._max_batch = max_batch

    def take(self, request: pb.ModelInferRequest, reply: Reply) -> Chunk | None:
        """Queue a request; `reply` is called once, and at once (None is returned) where the request is refused."""
        arrived = time.monotonic()
        try:
            parameters = decode_parameters(request)
            key = _key(request, parameters)
            model = self._sessions.route(request.model_name, request.model_version, key, start=parameters.start)
        except RecurError as error:
            self._metrics.of(UNKNOWN).failed(error, time.monotonic() - arrived)
            reply(error)
            return None
        metrics = self._metrics.of(model.key)
        try:
            chunk = self._chunk(request, parameters, key, model, arrived, reply)
        except RecurError as error:
            metrics.failed(error, time.monotonic() - arrived)
            reply(error)
            return None
        metrics.stage("decode", time.monotonic() - arrived)
        self._sessions.submit(chunk)
        return chunk

    def cancel(self, chunk: Chunk) -> None:
        """Drop a request whose client has gone, if it has not begun."""
        self._sessions.cancel(chunk)

    def _chunk(
        self,
        request: pb.ModelInferRequest,
        parameters: Parameters,
        key: SessionKey | None,
        model: ServedModel,
        arrived: float,
        reply: Reply,
    ) -> Chunk:
        tensors = decode_tensors(request, model.manifest, kept=key is not None, max_batch=self._max_batch)
        specs = wanted_outputs(request, model.manifest)
        request_id, metrics = request.id, self._metrics.of(model.key)
        kept, final = key is not None, parameters.wants_final

        def done(result: Answer | RecurError) -> None:
            answered = time.monotonic()
            if isinstance(result, RecurError):
                metrics.failed(result, answered - arrived)
                reply(result)
                return
            reply(lambda message: encode_answer(message, request_id, model.key, specs, result, kept=kept, final=final))
            now = time.monotonic()
            metrics.stage("encode", now - answered)
            metrics.answered("OK", now - arrived)

        return Chunk(
            model=model.key,
            key=key,
            inputs=tensors.inputs,
            lengths=tensors.lengths,
            time=tensors.time,
            start=parameters.start,
            end=parameters.end,
            done=done,
            arrived=arrived,
            deadline=arrived + parameters.timeout_seconds,
        )


def _key(request: pb.ModelInferRequest, parameters: Parameters) -> SessionKey | None:
    if parameters.sequence_id is None:
        if parameters.start or parameters.end:
            raise InvalidRequest("sequence_start and sequence_end need a sequence_id other than 0 or ''")
        return None
    return SessionKey(TENANT, request.model_name, parameters.sequence_id)
