"""From a request's message to queued chunks, and from their answers to a message."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import final

import msgspec
import numpy as np

from models.manifest import TensorSpec
from server.answers import refused
from server.catalogue import ServedModel
from server.codec.answers import encode_answer, encode_many
from server.codec.parameters import Parameters
from server.codec.request import Reader, Request
from server.codec.rows import Rows, many_rows, one_row, unkept_rows
from server.codec.tensors import Tensors
from server.errors import Internal, InvalidRequest, RecurError, VersionMismatch
from server.limits import Limits
from server.metrics import UNKNOWN, Metrics, ModelMetrics
from server.rpc.gathering import Gathering
from server.rpc.parts import parts, same_tensors, size_of
from server.sessions import Sessions
from server.types import UNNUMBERED, Answer, Chunk, Scope, Watch

logger = logging.getLogger(__name__)

TENANT = ""

# Takes the request's id, and an encoded ModelInferResponse or what is wrong.
Reply = Callable[[str, bytes | RecurError], None]


class Exchange(msgspec.Struct, frozen=True, eq=False):
    """A request under way: what its answer needs, and where it goes."""

    request_id: str
    named: bool
    model: ServedModel
    specs: Sequence[TensorSpec]
    metrics: ModelMetrics
    arrived: float
    final: bool
    reply: Reply

    def fail(self, error: RecurError) -> None:
        """Answer the whole request with an error."""
        self.metrics.failed(error, time.monotonic() - self.arrived)
        self.reply(self.request_id, error)

    def answer(self, encode: Callable[..., bytes], answer: Answer) -> None:
        """Answer the request; `encode` writes the message."""
        answered = time.monotonic()
        try:
            message = encode(self.request_id, self.model.key, self.specs, answer, final=self.final)
        except Exception:  # who answers is not to fail for an answer that cannot be written
            logger.exception("answer failed")
            self.fail(Internal("the answer cannot be written; the server's log has the cause"))
            return
        self.reply(self.request_id, message)
        now = time.monotonic()
        self.metrics.stage("encode", now - answered)
        self.metrics.answered("OK", now - self.arrived)

    def answer_many(self, answer: Answer) -> None:
        """Answer a request for many sequences."""
        self.metrics.refused_rows(answer.errors.values())
        self.answer(encode_many, answer)

    def done(self, kept: bool, _: Chunk, answer: Answer) -> None:
        """Answer a request for one sequence, or for rows that are not kept: the first error is the request's."""
        if answer.errors:
            self.fail(next(iter(answer.errors.values())))
        else:
            self.answer(partial(encode_answer, kept=kept), answer)


@final
class Inbox:
    """The way of every inference request, of a unary call or of a stream."""

    def __init__(self, sessions: Sessions, metrics: Metrics, limits: Callable[[str], Limits]) -> None:
        self._sessions = sessions
        self._metrics = metrics
        self._limits = limits
        self._reader = Reader()

    def take(self, data: bytes, reply: Reply, *, client: int = 0, watch: Watch | None = None) -> Sequence[Chunk]:
        """Queue a request; returns its chunks that wait.

        Args:
            data: a ModelInferRequest of any kind.
            reply: called once; at once, with nothing queued, where the request is refused.
            client: who asks.
            watch: the stream, if it can be told what befalls its sequences.
        """
        arrived = time.monotonic()
        metrics, request_id = self._metrics.of(UNKNOWN), ""
        try:
            request = self._reader.read(data)
            request_id, parameters = request.id, request.parameters
            if request.wrong is not None:
                raise request.wrong
            scope = Scope(TENANT, request.model_name)
            model = self._route(request, scope)
            metrics = self._metrics.of(model.key)
            tensors, specs = request.tensors(model.manifest)
            exchange = Exchange(
                request_id, bool(request.model_version), model, specs, metrics, arrived, parameters.wants_final, reply
            )
            chunks = self._chunks(exchange, parameters, tensors, scope, client)
            if watch is not None and watch.wants(said=parameters.notices):
                for chunk in chunks:
                    chunk.watch = watch
        except RecurError as error:
            metrics.failed(error, time.monotonic() - arrived)
            reply(request_id, error)
            return ()
        metrics.stage("decode", time.monotonic() - arrived)
        return [chunk for chunk in chunks if self._submit(chunk)]

    def cancel(self, chunks: Sequence[Chunk]) -> None:
        """Drop a request whose client has gone, as far as it has not begun."""
        for chunk in chunks:
            self._sessions.cancel(chunk)

    def leave(self, watch: Watch) -> None:
        """Forget a stream that has ended."""
        self._sessions.watches.close(watch)

    def _route(self, request: Request, scope: Scope) -> ServedModel:
        parameters = request.parameters
        return self._sessions.route(
            request.model_name,
            request.model_version,
            scope,
            parameters.sequence_id,
            start=parameters.start,
            numbered=parameters.step != UNNUMBERED,
        )

    def _submit(self, chunk: Chunk) -> bool:
        try:
            self._sessions.submit(chunk)
        except RecurError as error:
            chunk.done(chunk, refused(chunk, error))
            return False
        return True

    def _chunks(
        self, exchange: Exchange, parameters: Parameters, tensors: Tensors, scope: Scope, client: int
    ) -> Sequence[Chunk]:
        """Make one chunk of a request; several of rows for many sequences that cannot all run together."""
        many = "sequence_id" in tensors.reserved
        rows = _rows(parameters, tensors, many=many)
        if parameters.peek and (not rows.ids or rows.start.any() or rows.end.any()):
            raise InvalidRequest("recur_peek asks a sequence that lives, and neither starts nor ends it")
        chunk = Chunk(
            model=exchange.model.key,
            scope=scope,
            ids=rows.ids,
            inputs=tensors.inputs,
            lengths=rows.lengths,
            time=tensors.time,
            size=size_of(exchange.model.manifest, tensors.time),
            start=rows.start,
            starts=bool(rows.start.any()) if many else parameters.start,
            end=rows.end,
            steps=rows.steps,
            lives=rows.lives,
            plain=rows.plain and not parameters.peek,
            part="peek" if parameters.peek else "run",
            done=partial(exchange.done, bool(rows.ids)),
            client=client,
            priority=parameters.priority,
            arrived=exchange.arrived,
            deadline=exchange.arrived + parameters.timeout_seconds,
        )
        max_batch = self._limits(scope.model).max_batch
        if many:
            gathering = Gathering(exchange.specs, chunk.rows, chunk.time, exchange.answer_many)
            chunk.done = gathering.take
            if (
                tensors.lengths is None
                and not rows.wrong
                and chunk.rows <= max_batch
                and self._sessions.settled(exchange.model)
            ):
                return (chunk,)
            gathering.refuse(rows.wrong)
            return self._parts(exchange, chunk, rows.wrong, gathering, max_batch)
        if not rows.ids:
            self._sessions.check_open(exchange.model)
        if chunk.rows > max_batch:
            raise InvalidRequest(f"the request has {chunk.rows} rows; {max_batch} are the most")
        return (chunk,)

    def _parts(
        self,
        exchange: Exchange,
        chunk: Chunk,
        wrong: Mapping[int, RecurError],
        gathering: Gathering,
        max_batch: int,
    ) -> Sequence[Chunk]:
        """Cut the rows that are right by version and length; the gathering hears of those that cannot run."""
        right = np.setdiff1d(np.arange(chunk.rows), list(wrong)) if wrong else np.arange(chunk.rows)
        routed = [(exchange.model, right)]
        if not self._sessions.settled(exchange.model):
            routed, closed = self._sessions.routes(exchange.model, chunk, right, named=exchange.named)
            gathering.refuse(closed)
        cuts: list[Chunk] = []
        for model, rows in routed:
            if same_tensors(model, exchange.model):
                cuts += parts(chunk, rows, model, max_batch)
            else:
                gathering.refuse(dict.fromkeys(rows.tolist(), _other_tensors(model)))
        return cuts


def _rows(parameters: Parameters, tensors: Tensors, *, many: bool) -> Rows:
    if many:
        return many_rows(parameters, tensors)
    return unkept_rows(parameters, tensors) if parameters.sequence_id is None else one_row(parameters, tensors)


def _other_tensors(model: ServedModel) -> VersionMismatch:
    return VersionMismatch(
        f"the sequence runs on version {model.key.version}, which takes or gives other tensors than the newest; "
        "name the version in a request of its own"
    )
