"""A request that generates: its prompt is run, and then a step for every answer, what was drawn fed back."""

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol, final

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from models.manifest import Decode
from models.tensors import NUMPY
from server.codec.answers import Tensor, encode_generated
from server.codec.rows import rows_of
from server.codec.tensors import BYTES, Tensors
from server.columns import constant, no_flags
from server.digest import digests
from server.errors import InvalidRequest
from server.generation import Drawn, Sampling, draw
from server.limits import Limits
from server.rpc.exchange import Exchange
from server.rpc.parts import size_of
from server.sessions import Sessions
from server.types import UNNUMBERED, Answer, Array, Chunk, Scope

Reason = Literal["", "end", "stop_unit", "length", "limit", "cancelled"]


class Answers(Protocol):
    """Who may be given several answers to one request.

    Attributes:
        open: whether anybody is there to read them.
    """

    open: bool

    def send(self, answer: bytes) -> bool:
        """Send an answer that is not the last; false where the client does not keep up with reading."""
        ...

    def hold(self, resume: Callable[[], None]) -> None:
        """Call back when the client has read what was sent."""
        ...


@final
class Generating:
    """One generation under way.

    It keeps nothing that a request which comes again would need: that one is answered from the last step's stored
    output, from which the same seed draws the same.

    Raises:
        InvalidRequest: the model, or the request, is not one that can generate.
    """

    def __init__(
        self, exchange: Exchange, tensors: Tensors, sessions: Sessions, answers: Answers | None, limits: Limits
    ) -> None:
        self._exchange = exchange
        self._sessions = sessions
        self._how, self._decode = _checked(exchange)
        if answers is None:
            raise InvalidRequest("recur_max_steps has many answers: send the request on a stream, ModelStreamInfer")
        self._answers = answers
        self._spec = next(spec for spec in exchange.model.manifest.inputs if spec.name == self._decode.input)
        self._tensors = self._prompted(tensors)
        self._most = min(self._how.max_steps, limits.max_generated_steps)
        self._number = 0

    def prompt(self, scope: Scope, client: int) -> Chunk:
        """Make the chunk of the prompt; what follows it is of the same request."""
        rows = rows_of(self._exchange.request.parameters, self._tensors, self._exchange.signature)
        self._chunk = chunk = self._exchange.chunk(self._tensors, rows, scope, client)
        [digest] = digests(chunk, self._exchange.signature)
        chunk.digest = xxh3_64_intdigest(msgspec.json.encode(self._how), digest)
        self._seed = _seed(self._how, chunk, chunk.digest)
        self._length = chunk.lengths.item(0)
        # The end comes after the last step, which nobody knows yet.
        chunk.end, chunk.done = no_flags(1), self.take
        return chunk

    def take(self, chunk: Chunk, answer: Answer) -> Chunk | None:
        """Answer with what is drawn from a step; gives the chunk that it is fed to, until nothing more is wanted."""
        if answer.errors:
            self._exchange.fail(next(iter(answer.errors.values())))
            return None
        replayed = answer.replayed is not None and bool(answer.replayed.item(0))
        position = answer.positions.item(0)
        if replayed:
            self._number = position - self._chunk.steps.item(0) - self._length
        found = answer.outputs[self._decode.output][0, 0 if self._number else self._length - 1]
        drawn = draw(self._decode, found, self._how, self._seed, self._number)
        reason = self._reason(drawn, replayed=replayed)
        self._number += 1
        if reason:
            self._finish(chunk, drawn, position, reason, replayed=replayed)
            return None
        reads = self._answers.send(self._encoded(drawn, position, "", replayed=False))
        return self._following(chunk, drawn, position, held=not reads)

    def _reason(self, drawn: Drawn, *, replayed: bool) -> Reason:
        """Why nothing more is generated; empty where more is."""
        if drawn.ends:
            return "stop_unit" if drawn.stops else "end"
        if self._number + 1 >= self._most:
            return "length" if self._most == self._how.max_steps else "limit"
        return "cancelled" if replayed or not self._answers.open else ""

    def _finish(self, chunk: Chunk, drawn: Drawn, position: int, reason: Reason, *, replayed: bool) -> None:
        if self._exchange.request.parameters.end:
            self._sessions.end(chunk.model, chunk.scope, chunk.ids[0])
        self._exchange.answer(
            lambda _: self._encoded(drawn, position, reason, replayed=replayed), Answer({}, chunk.lengths)
        )

    def _following(self, chunk: Chunk, drawn: Drawn, position: int, *, held: bool) -> Chunk:
        """Make the chunk of one step that what was drawn is fed to."""
        fed = {name: array for name, array in self._tensors.inputs.items() if name != self._decode.input}
        value = drawn.value.astype(NUMPY[self._spec.dtype]).reshape(1, 1, *drawn.value.shape)
        following = msgspec.structs.replace(
            chunk,
            inputs={self._decode.input: value, **fed},
            starting={},
            lengths=constant(1, 1),
            time=1,
            size=size_of(self._exchange.signature, 1),
            start=no_flags(1),
            starts=False,
            steps=chunk.steps if chunk.steps.item(0) == UNNUMBERED else np.array([position], np.int64),
            before=self._length + self._number - 1,
            plain=chunk.steps.item(0) == UNNUMBERED,
            arrived=time.monotonic(),
            deadline=float("inf"),
            timer=None,
            cuts=[],
            held=held,
        )
        self._chunk.cuts = [following]
        if held:
            self._answers.hold(partial(self._sessions.resume, following))
        return following

    def _encoded(self, drawn: Drawn, position: int, reason: Reason, *, replayed: bool) -> bytes:
        exchange = self._exchange
        return encode_generated(
            exchange.request.id,
            exchange.model.key,
            None if drawn.stops else self._value(drawn.value),
            drawn.log_prob,
            position,
            reason=reason,
            replayed=replayed,
        )

    def _value(self, value: Array) -> Tensor:
        """Write what is fed back as the input came: a symbol's text, or a value of the input's datatype."""
        vocabulary, shape = self._exchange.model.runtime.vocabulary, (1, 1, *value.shape)
        if self._tensors.as_text and vocabulary is not None:
            text = vocabulary.text(value.item())
            return (self._decode.output, BYTES, shape), len(text).to_bytes(4, "little") + text
        return (self._decode.output, self._spec.dtype, shape), value.astype(NUMPY[self._spec.dtype]).tobytes()

    def _prompted(self, tensors: Tensors) -> Tensors:
        """Let a sequence without steps of its own begin with the symbol that the model starts from."""
        if tensors.time:
            return tensors
        if self._decode.start is None or len(self._spec.shape) > 1:
            raise InvalidRequest(f"input '{self._spec.name}' is missing: the model has no symbol to start from")
        first = np.full((tensors.rows, 1), self._decode.start, NUMPY[self._spec.dtype])
        return msgspec.structs.replace(tensors, inputs={self._spec.name: first}, time=1)


def _checked(exchange: Exchange) -> tuple[Sampling, Decode]:
    """Give how to generate; raises InvalidRequest where the model or the request does not."""
    parameters, decode = exchange.request.parameters, exchange.model.manifest.decode
    how = parameters.sampling
    if decode is None or how is None:
        raise InvalidRequest(f"model '{exchange.model.key.name}' does not generate: its manifest has no decode")
    if parameters.peek:
        raise InvalidRequest("recur_max_steps goes on with a sequence, and recur_peek leaves it as it is; give one")
    if parameters.sequence_id is None:
        raise InvalidRequest("recur_max_steps goes on with one sequence: name it by the parameter 'sequence_id'")
    if decode.sampling != "categorical" and how != Sampling(how.max_steps, seed=how.seed):
        raise InvalidRequest(
            f"model '{exchange.model.key.name}' generates by '{decode.sampling}': leave temperature, top_k, top_p out"
        )
    return how, decode


def _seed(how: Sampling, chunk: Chunk, digest: int) -> int:
    """The seed that the client gave; else a drawn one, which is the same for a counted request that comes again."""
    if how.seed is not None:
        return how.seed
    counted = chunk.steps.item(0) != UNNUMBERED
    return digest ^ chunk.lives.item(0) if counted else secrets.randbits(64)
