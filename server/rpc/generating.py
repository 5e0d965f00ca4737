"""A request that generates: its prompt is run, and then a step for every answer, what was drawn fed back."""

from typing import Literal, final

import numpy as np

from models.tensors import NUMPY
from server.codec.answers import Tensor, encode_generated, text_tensor
from server.errors import NotFinite, RecurError
from server.generation import NO_PROBABILITIES, draw
from server.rpc.cohort import Answers, Cohort
from server.rpc.exchange import Exchange
from server.rpc.prompt import Prompt
from server.rpc.unwritten import Steps
from server.sampling import Drawn, Draws
from server.sessions import Sessions
from server.types import Answer, Array, Chunk, Scope

Reason = Literal["", "end", "stop_unit", "length", "limit", "cancelled"]


@final
class Generating:
    """One generation under way.

    It keeps nothing that a request which comes again would need: that one is answered from the last step's stored
    output, from which the same seed draws the same.

    Attributes:
        most: steps at most.
        answer_steps: steps that an answer has at most.
    """

    def __init__(self, exchange: Exchange, prompt: Prompt, sessions: Sessions, answers: Answers) -> None:
        self._exchange = exchange
        self._prompt = prompt
        self._sessions = sessions
        self._answers = answers
        self.answer_steps = exchange.request.parameters.answer_steps

    @property
    def most(self) -> int:
        """Steps at most, which is known when the prompt's chunk is made."""
        return self._prompt.most

    def begin(self, scope: Scope, client: int) -> Chunk:
        """Make the chunk that begins it."""
        chunk = self._prompt.chunk(scope, client, self.take)
        chunk.draws = Draws.of(self._prompt.how, self._prompt.seed, 0)
        return chunk

    def take(self, chunk: Chunk, answer: Answer) -> Chunk | None:
        """Draw from the answer to the prompt; gives the chunk that it is fed to, if more is wanted."""
        if answer.errors:
            self.fail(next(iter(answer.errors.values())))
            return None
        replayed = answer.replayed is not None and bool(answer.replayed.item(0))
        number, position, prompt = 0, answer.positions.item(0), self._prompt
        if replayed:
            number = position - prompt.first - prompt.length
        drawn = answer.drawn
        if drawn is None:
            drawn = draw(prompt.decode, self._last(answer, number), Draws.of(prompt.how, prompt.seed, number))
        if np.isnan(drawn.log_probs).any():
            self.fail(NotFinite(NO_PROBABILITIES))
            return None
        wanted = self._answers.open and not replayed
        if not wanted or number + 1 >= self.most or drawn.ends.any():
            self.finish(chunk, drawn, number, position, replayed=replayed)
            return None
        following = prompt.following(chunk, drawn.values, position, number)
        return self._cohort(chunk).enter(self, chunk, following, drawn, answer.positions)

    def encode(self, steps: Steps, reason: Reason = "", *, replayed: bool = False) -> bytes:
        """Write an answer: what is fed back, `[1, steps, …]`, and `log_prob [1, steps]`."""
        exchange, log_probs = self._exchange, steps.log_probs
        log_prob: Tensor = ("log_prob", "FP32", (1, len(log_probs))), log_probs.tobytes()
        return encode_generated(
            exchange.request.id,
            exchange.model.key,
            [log_prob] if steps.stops else [self._values(steps.values), log_prob],
            steps.position,
            reason=reason,
            replayed=replayed,
        )

    def finish(self, chunk: Chunk, drawn: Drawn, number: int, position: int, *, replayed: bool = False) -> None:
        """Answer with the last step, after which nothing more is generated.

        Args:
            chunk: of the step, in which the sequence is the first.
            drawn: what the step gave, one row.
            number: of the step, from 0.
            position: steps that the sequence has had.
            replayed: it was done before.
        """
        if self._exchange.request.parameters.end:
            self._sessions.end(chunk.model, chunk.scope, chunk.ids[0])
        stops = bool(drawn.stops.item(0))
        last = Steps(drawn.values, drawn.log_probs.astype(np.float32), position, stops)
        reason = self._reason(number, ends=bool(drawn.ends.item(0)), stops=stops)
        self._exchange.answer(lambda _: self.encode(last, reason, replayed=replayed), Answer({}, chunk.lengths))

    def fail(self, error: RecurError) -> None:
        """Answer with an error."""
        self._exchange.fail(error)

    def _cohort(self, chunk: Chunk) -> Cohort:
        """Find those of the same stream whose steps may run in the same chunk as this one's."""
        kind = (chunk.model, chunk.scope, chunk.priority, chunk.shape)
        cohorts = self._answers.cohorts
        cohort = cohorts.get(kind)
        if cohort is None:
            cohort = cohorts[kind] = Cohort(self._prompt.decode, self._prompt.spec, self._sessions, self._answers)
        return cohort

    def _values(self, values: Array) -> Tensor:
        """Write what is fed back as the input came: texts of symbols, or values of the input's datatype."""
        output, vocabulary = self._prompt.decode.output, self._exchange.model.runtime.vocabulary
        shape = (1, *values.shape)
        if self._prompt.as_text and vocabulary is not None:
            return text_tensor(output, [vocabulary.text(symbol) for symbol in values.tolist()], shape)
        dtype = self._prompt.spec.dtype
        return (output, dtype, shape), values.astype(NUMPY[dtype], copy=False).tobytes()

    def _last(self, answer: Answer, number: int) -> Array:
        """Give what a draw is from, `[1, …]`."""
        return answer.outputs[self._prompt.decode.output][:, 0 if number else self._prompt.length - 1]

    def _reason(self, number: int, *, ends: bool, stops: bool) -> Reason:
        """Why nothing more is generated."""
        if ends:
            return "stop_unit" if stops else "end"
        if number + 1 >= self.most:
            return "limit" if self._prompt.is_limited else "length"
        return "cancelled"
