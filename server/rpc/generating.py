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

    def send(self, answer: Callable[[], bytes]) -> None:
        """Send an answer that is not the last; it is asked for when it is written."""
        ...

    def waits(self, *, full: bool) -> bool:
        """Whether a generation is to wait until the client has read; `full` where its answer has no more room."""
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
class Part:
    """One answer of a generation: the steps that it has had since the answer before.

    Attributes:
        written: whether no more can be added.
    """

    def __init__(self, exchange: Exchange, prompt: Prompt) -> None:
        self._exchange = exchange
        self._prompt = prompt
        self._steps: list[Drawn] = []
        self.written = False

    @property
    def full(self) -> bool:
        """Whether it has as many steps as the client takes in one answer."""
        return len(self._steps) >= self._exchange.request.parameters.answer_steps

    def add(self, drawn: Drawn, position: int) -> None:
        """Add a step, after which the sequence has had so many."""
        self._steps.append(drawn)
        self._position = position

    def encode(self, reason: Reason = "", *, replayed: bool = False) -> bytes:
        """Write it: what is fed back, `[1, steps, …]`, and `log_prob [1, steps]`."""
        self.written = True
        exchange = self._exchange
        log_probs = np.array([step.log_prob for step in self._steps], np.float32)
        log_prob: Tensor = ("log_prob", "FP32", (1, len(log_probs))), log_probs.tobytes()
        return encode_generated(
            exchange.request.id,
            exchange.model.key,
            [log_prob] if self._steps[-1].stops else [self._values(), log_prob],
            self._position,
            reason=reason,
            replayed=replayed,
        )

    def _values(self) -> Tensor:
        """Write what is fed back as the input came: texts of symbols, or values of the input's datatype."""
        output, vocabulary = self._prompt.decode.output, self._exchange.model.runtime.vocabulary
        values = np.concatenate([step.value for step in self._steps]) if len(self._steps) > 1 else self._steps[0].value
        shape = (1, *values.shape)
        if self._prompt.as_text and vocabulary is not None:
            return text_tensor(output, [vocabulary.text(symbol) for symbol in values.tolist()], shape)
        dtype = self._prompt.spec.dtype
        return (output, dtype, shape), values.astype(NUMPY[dtype], copy=False).tobytes()


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
        self._part = Part(self._exchange, self._prompt)
        self._part.written = True
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
            self._draw = Draw(prompt.how, prompt.seed, position - prompt.first - prompt.length)
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
        held = self._tell(drawn, position)
        self._draw = Draw(prompt.how, prompt.seed, number + 1)
        following = prompt.following(chunk, drawn.value, position, number, draw=self._draw, held=held)
        if held:
            self._answers.hold(partial(self._sessions.resume, following))
        return following

    def _tell(self, drawn: Drawn, position: int) -> bool:
        """Add a step to the answer that is not written yet, or begin one; gives whether the client must read first."""
        if begins := self._part.written or self._part.full:
            self._part = Part(self._exchange, self._prompt)
        self._part.add(drawn, position)
        if begins:
            self._answers.send(self._part.encode)
        return self._answers.waits(full=self._part.full)

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
        last = Part(self._exchange, self._prompt)
        last.add(drawn, position)
        self._exchange.answer(lambda _: last.encode(reason, replayed=replayed), Answer({}, chunk.lengths))
