"""A request that generates: its prompt is run, and then a step for every answer, what was drawn fed back."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol, final

import numpy as np

from models.tensors import NUMPY
from server.codec.answers import Tensor, encode_generated, text_tensor
from server.errors import InvalidRequest, NotFinite
from server.generation import NO_PROBABILITIES, draw
from server.rpc.exchange import Exchange
from server.rpc.prompt import Prompt
from server.sampling import Draw, Drawn
from server.sessions import Sessions
from server.types import Answer, Array, Chunk, Scope

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


def checked_answers(answers: Answers | None) -> Answers:
    """Give who may be given several answers; raises InvalidRequest where one alone is possible."""
    if answers is None:
        raise InvalidRequest("recur_max_steps has many answers: send the request on a stream, ModelStreamInfer")
    return answers


@final
class Generating:
    """One generation under way.

    It keeps nothing that a request which comes again would need: that one is answered from the last step's stored
    output, from which the same seed draws the same.
    """

    def __init__(self, exchange: Exchange, prompt: Prompt, sessions: Sessions, answers: Answers) -> None:
        self._exchange = exchange
        self._prompt = prompt
        self._sessions = sessions
        self._answers = answers

    def begin(self, scope: Scope, client: int) -> Chunk:
        """Make the chunk that begins it."""
        chunk = self._prompt.chunk(scope, client, self.take)
        self._draw = chunk.draw = Draw(self._prompt.how, self._prompt.seed, 0)
        return chunk

    def take(self, chunk: Chunk, answer: Answer) -> Chunk | None:
        """Answer with what is drawn from a step; gives the chunk that it is fed to, until nothing more is wanted."""
        if answer.errors:
            self._exchange.fail(next(iter(answer.errors.values())))
            return None
        replayed = answer.replayed is not None and bool(answer.replayed.item(0))
        position, prompt = answer.positions.item(0), self._prompt
        if replayed:
            self._draw = self._draw._replace(number=position - prompt.first - prompt.length)
        number = self._draw.number
        drawn = answer.drawn
        if drawn is None:
            [drawn] = draw(prompt.decode, self._last(answer), [self._draw])
        if math.isnan(drawn.log_prob):
            self._exchange.fail(NotFinite(NO_PROBABILITIES))
            return None
        if reason := self._reason(drawn, replayed=replayed):
            self._finish(chunk, drawn, position, reason, replayed=replayed)
            return None
        reads = self._answers.send(self._encoded(drawn, position, "", replayed=False))
        self._draw = self._draw._replace(number=number + 1)
        following = prompt.following(
            chunk, np.asarray(drawn.value)[None], position, number, draw=self._draw, held=not reads
        )
        if not reads:
            self._answers.hold(partial(self._sessions.resume, following))
        return following

    def _last(self, answer: Answer) -> Array:
        """Give what a draw is from, `[1, …]`."""
        place = 0 if self._draw.number else self._prompt.length - 1
        return answer.outputs[self._prompt.decode.output][:, place]

    def _reason(self, drawn: Drawn, *, replayed: bool) -> Reason:
        """Why nothing more is generated; empty where more is."""
        if drawn.ends:
            return "stop_unit" if drawn.stops else "end"
        if self._draw.number + 1 >= self._prompt.most:
            return "limit" if self._prompt.is_limited else "length"
        return "cancelled" if replayed or not self._answers.open else ""

    def _finish(self, chunk: Chunk, drawn: Drawn, position: int, reason: Reason, *, replayed: bool) -> None:
        if self._exchange.request.parameters.end:
            self._sessions.end(chunk.model, chunk.scope, chunk.ids[0])
        self._exchange.answer(
            lambda _: self._encoded(drawn, position, reason, replayed=replayed), Answer({}, chunk.lengths)
        )

    def _encoded(self, drawn: Drawn, position: int, reason: Reason, *, replayed: bool) -> bytes:
        exchange = self._exchange
        log_prob: Tensor = ("log_prob", "FP32", (1, 1)), np.float32(drawn.log_prob).tobytes()
        return encode_generated(
            exchange.request.id,
            exchange.model.key,
            [log_prob] if drawn.stops else [self._value(drawn.value), log_prob],
            position,
            reason=reason,
            replayed=replayed,
        )

    def _value(self, value: Array) -> Tensor:
        """Write what is fed back as the input came: a symbol's text, or a value of the input's datatype."""
        output, vocabulary = self._prompt.decode.output, self._exchange.model.runtime.vocabulary
        shape = (1, 1, *value.shape)
        if self._prompt.as_text and vocabulary is not None:
            return text_tensor(output, [vocabulary.text(value.item())], shape)
        dtype = self._prompt.spec.dtype
        return (output, dtype, shape), value.astype(NUMPY[dtype]).tobytes()
