"""From a request's message to queued chunks, and from their answers to a message."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import final

import numpy as np

from server.answers import refused
from server.catalogue import ServedModel
from server.codec.request import Reader, Request
from server.codec.rows import rows_of
from server.codec.tensors import Tensors
from server.errors import InvalidRequest, RecurError, VersionMismatch
from server.limits import Limits
from server.metrics import UNKNOWN, Metrics
from server.rpc.cohort import Answers, checked_answers
from server.rpc.exchange import Exchange, Reply
from server.rpc.gathering import Gathering
from server.rpc.generating import Generating
from server.rpc.parts import parts, same_tensors
from server.rpc.prompt import Prompt
from server.rpc.scoring import Scoring
from server.rpc.searching import Searching
from server.sessions import Sessions
from server.signature import Signature
from server.types import UNNUMBERED, Chunk, Scope, Watch

TENANT = ""


@final
class Inbox:
    """The way of every inference request, of a unary call or of a stream."""

    def __init__(self, sessions: Sessions, metrics: Metrics, limits: Callable[[str], Limits]) -> None:
        self._sessions = sessions
        self._metrics = metrics
        self._unknown = metrics.of(UNKNOWN)
        self._limits = limits
        self._reader = Reader()

    def take(
        self, data: bytes, reply: Reply, *, client: int = 0, watch: Watch | None = None, answers: Answers | None = None
    ) -> Sequence[Chunk]:
        """Queue a request; returns its chunks that wait.

        Args:
            data: a ModelInferRequest of any kind.
            reply: called once; at once, with nothing queued, where the request is refused.
            client: who asks.
            watch: the stream, if it can be told what befalls its sequences.
            answers: the same, if a request may have several.
        """
        arrived, request_id = time.monotonic(), ""
        metrics = self._unknown
        try:
            request = self._reader.read(data)
            request_id = request.id
            if request.wrong is not None:
                raise request.wrong
            scope = _scope(request.model_name)
            model = self._route(request, scope)
            metrics = self._metrics.of(model.key)
            signature = model.runtime.signatures["peek" if request.parameters.peek else "run"]
            tensors, specs = request.tensors(signature)
            for name, vocabulary in signature.texts.items() if tensors.time else ():
                vocabulary.check(name, tensors.valid(name))
            specs = specs if tensors.time and not _only_kept(request, signature) else ()
            exchange = Exchange(request, model, signature, specs, metrics, arrived, reply)
            chunks = self._chunks(exchange, tensors, scope, client, answers)
        except RecurError as error:
            metrics.failed(error, time.monotonic() - arrived)
            reply(request_id, error)
            return ()
        metrics.decoded(time.monotonic() - arrived)
        watches = watch is not None and watch.wants(said=request.parameters.notices)
        return [chunk for chunk in chunks if self._submit(chunk, watch if watches else None)]

    def cancel(self, chunks: Sequence[Chunk]) -> None:
        """Drop a request whose client has gone, as far as it has not begun."""
        for chunk in chunks:
            self._sessions.cancel(chunk)

    def crowded(self, chunks: Sequence[Chunk]) -> bool:
        """Whether so many requests wait that who has such chunks waiting should bring no more."""
        return self._sessions.crowded(chunks[0].scope.model)

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

    def _submit(self, chunk: Chunk, watch: Watch | None) -> bool:
        """Queue a chunk; false where there is no room for it, and it is answered so."""
        chunk.watch = watch
        try:
            self._sessions.submit(chunk)
        except RecurError as error:
            chunk.done(chunk, refused(chunk, error))
            return False
        return True

    def _chunks(
        self, exchange: Exchange, tensors: Tensors, scope: Scope, client: int, answers: Answers | None
    ) -> Sequence[Chunk]:
        """Make one chunk of a request; several of rows for many sequences that cannot all run together."""
        _check_sizes(tensors, exchange.signature, self._limits(scope.model).max_chunk_steps)
        scoring = Scoring(exchange, tensors) if exchange.request.parameters.score else None
        if exchange.request.parameters.sampling is not None:
            return (self._generation(exchange, tensors, scope, answers).begin(scope, client),)
        wrong: Mapping[int, RecurError] = {}
        if (chunk := exchange.again(tensors, client)) is None:
            rows = rows_of(exchange.request.parameters, tensors, exchange.signature)
            chunk, wrong = exchange.chunk(tensors, rows, scope, client), rows.wrong
        max_batch = self._limits(scope.model).max_batch
        if "sequence_id" in tensors.reserved:
            time = 0 if exchange.signature.whole else chunk.time
            gathering = Gathering(exchange.specs, chunk.rows, time, exchange.answer_many)
            chunk.done = gathering.take
            together = tensors.lengths is None and not wrong and chunk.rows <= max_batch
            if together and self._sessions.settled(exchange.model):
                return (chunk,)
            gathering.refuse(wrong)
            return self._parts(exchange, chunk, wrong, gathering)
        if scoring is not None:
            chunk.done = scoring.take
        if not chunk.ids:
            self._sessions.check_open(exchange.model)
        if chunk.rows > max_batch:
            raise InvalidRequest(f"the request has {chunk.rows} rows; {max_batch} are the most")
        return (chunk,)

    def _generation(
        self, exchange: Exchange, tensors: Tensors, scope: Scope, answers: Answers | None
    ) -> Generating | Searching:
        prompt, several = Prompt(exchange, tensors, self._limits(scope.model)), checked_answers(answers)
        way = Searching if prompt.how.beam_width else Generating
        return way(exchange, prompt, self._sessions, several)

    def _parts(
        self, exchange: Exchange, chunk: Chunk, wrong: Mapping[int, RecurError], gathering: Gathering
    ) -> Sequence[Chunk]:
        """Cut the rows that are right by version and length; the gathering hears of those that cannot run."""
        right = np.setdiff1d(np.arange(chunk.rows), list(wrong)) if wrong else np.arange(chunk.rows)
        routed = [(exchange.model, right)]
        if not self._sessions.settled(exchange.model):
            named = bool(exchange.request.model_version)
            routed, closed = self._sessions.routes(exchange.model, chunk, right, named=named)
            gathering.refuse(closed)
        cuts: list[Chunk] = []
        for model, rows in routed:
            if same_tensors(model, exchange.model):
                cuts += parts(chunk, rows, model, self._limits(chunk.scope.model).max_batch)
            else:
                gathering.refuse(dict.fromkeys(rows.tolist(), _other_tensors(model)))
        return cuts


def _check_sizes(tensors: Tensors, signature: Signature, most: int) -> None:
    """Raise InvalidRequest for more steps, or more places on a free axis, than one request may have."""
    if tensors.time > most:
        raise InvalidRequest(f"the request has {tensors.time} steps; {most} are the most: send several chunks")
    free = {name: tensors.inputs[name] for name, _ in signature.free if name in tensors.inputs}
    for name, array in {**tensors.starting, **free}.items():
        if max(array.shape[1:], default=0) > most:
            raise InvalidRequest(f"input '{name}' has shape {list(array.shape)}; {most} places on an axis are the most")


def _only_kept(request: Request, signature: Signature) -> bool:
    """Whether what comes is kept until its sequence is complete, and answers nothing."""
    parameters = request.parameters
    return signature.whole and parameters.sequence_id is not None and not (parameters.end or parameters.peek)


@lru_cache(maxsize=1024)
def _scope(model: str) -> Scope:
    return Scope(TENANT, model)


def _other_tensors(model: ServedModel) -> VersionMismatch:
    return VersionMismatch(
        f"the sequence runs on version {model.key.version}, which takes or gives other tensors than the newest; "
        "name the version in a request of its own"
    )
