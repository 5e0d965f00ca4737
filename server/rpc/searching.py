"""A request that searches: its prompt is run, and then a step of several continuations at once, the best kept."""

from typing import final

import numpy as np

from models.tensors import NUMPY
from server.beams import Beams
from server.codec.answers import Tensor, encode_generated, text_tensor
from server.errors import NotFinite, RecurError
from server.generation import NO_PROBABILITIES
from server.rpc.cohort import Answers
from server.rpc.exchange import Exchange
from server.rpc.generating import Reason
from server.rpc.prompt import Prompt
from server.sessions import Sessions
from server.types import Answer, Array, Arrays, Chunk, Lease, Scope

# What the search gave, kept for its request were that to come again: symbols `[beam, time]`, the rest `[beam]` or `[]`.
SYMBOLS, LENGTHS, SCORES, REASON = "beams", "beam_length", "beam_score", "reason"
REASONS: tuple[Reason, ...] = ("end", "stop_unit", "length", "limit")


@final
class Searching:
    """One search under way.

    The sequence's own state stays that after the prompt until the search is done, and is then that of the best
    continuation; where the client leaves meanwhile it stays there. The states of the others lie in slots that are lent
    to it. Each step reads from some of them and writes to others, so that to branch copies nothing.
    """

    def __init__(self, exchange: Exchange, prompt: Prompt, sessions: Sessions, answers: Answers) -> None:
        self._exchange = exchange
        self._prompt = prompt
        self._sessions = sessions
        self._answers = answers
        self._number = 0
        self._lent: list[int] = []

    def begin(self, scope: Scope, client: int) -> Chunk:
        """Make the chunk that begins it."""
        self._last = chunk = self._prompt.chunk(scope, client, self.take)
        return chunk

    def take(self, chunk: Chunk, answer: Answer) -> Chunk | None:
        """Follow what is best of a step's answers; gives the chunk of the next, until the search is done."""
        if answer.errors:
            self._fail(chunk, next(iter(answer.errors.values())))
            return None
        position, decode = answer.positions.item(0), self._prompt.decode
        if SCORES in answer.outputs:
            self._replay(answer.outputs, position)
            return None
        if not self._lent:
            try:
                self._borrow(chunk)
            except RecurError as error:
                if self._exchange.request.parameters.start:
                    self._sessions.undo(chunk.model, chunk.scope, chunk.ids[0])
                self._fail(chunk, error)
                return None
        if not self._answers.open:
            # It comes again, or nobody wants it: the sequence stays where its prompt has led.
            self._sessions.take_back(chunk.model, self._lent)
            return None
        outputs = answer.outputs[decode.output][:, 0 if self._number else self._prompt.length - 1]
        if not (outputs.astype(np.float64) < np.inf).all() or not self._beams.advance(outputs, self._slots.tolist()):
            self._fail(chunk, NotFinite(NO_PROBABILITIES))
            return None
        self._number += 1
        if self._beams.done or self._number >= self._prompt.most:
            self._finish(chunk)
            return None
        return self._following(chunk, position)

    def _borrow(self, chunk: Chunk) -> None:
        """Borrow room for the states of a step, of the step after it, and of the best that has ended."""
        width = self._prompt.how.beam_width
        self._home, self._lent = self._sessions.lend(chunk.model, chunk.scope, chunk.ids[0], 2 * width + 1)
        self._slots = np.array([self._home], np.intp)
        self._beams = Beams(self._prompt.decode, width, self._prompt.how.length_penalty, self._home)

    def _following(self, chunk: Chunk, position: int) -> Chunk:
        live = self._beams.live
        reads = np.array([one.slot for one in live], np.intp)
        taken = {*reads.tolist(), self._beams.kept}
        free = [slot for slot in self._lent if slot not in taken]
        self._slots = np.array(free[: len(live)], np.intp)
        lease = Lease(self._home, self._lent, reads, self._slots)
        values = np.array([one.symbols[-1] for one in live])
        return self._prompt.branching(chunk, values, lease, position, self._number - 1)

    def _finish(self, chunk: Chunk) -> None:
        found, model = self._beams.found, chunk.model
        answer = _kept([one.symbols for one in found], self._beams.scores(found), self._reason(ended=found[0].ended))
        position = self._sessions.settle(model, self._home, found[0].slot, answer)
        self._sessions.take_back(model, self._lent)
        if self._exchange.request.parameters.end:
            self._sessions.end(model, chunk.scope, chunk.ids[0])
        self._reply(answer, position, replayed=False)

    def _reason(self, *, ended: bool) -> Reason:
        if ended:
            return "stop_unit" if self._prompt.decode.stop_unit else "end"
        return "limit" if self._prompt.is_limited else "length"

    def _replay(self, kept: Arrays, position: int) -> None:
        self._reply({name: array[0] for name, array in kept.items()}, position, replayed=True)

    def _fail(self, chunk: Chunk, error: RecurError) -> None:
        if self._lent:
            self._sessions.take_back(chunk.model, self._lent)
        self._exchange.fail(error)

    def _reply(self, answer: Arrays, position: int, *, replayed: bool) -> None:
        self._exchange.answer(
            lambda _: self._encoded(answer, position, replayed=replayed), Answer({}, self._last.lengths)
        )

    def _encoded(self, answer: Arrays, position: int, *, replayed: bool) -> bytes:
        exchange, scores, lengths = self._exchange, answer[SCORES], answer[LENGTHS]
        tensors: list[Tensor] = [
            self._written(answer[SYMBOLS], lengths),
            ((SCORES, "FP32", scores.shape), scores.tobytes()),
            ((LENGTHS, "INT64", lengths.shape), lengths.tobytes()),
        ]
        reason = REASONS[int(answer[REASON].item())]
        return encode_generated(
            exchange.request.id, exchange.model.key, tensors, position, reason=reason, replayed=replayed
        )

    def _written(self, symbols: Array, lengths: Array) -> Tensor:
        """Write the symbols as the input came: texts, none after a hypothesis's end, or indices, zeros there."""
        output, vocabulary = self._prompt.decode.output, self._exchange.model.runtime.vocabulary
        if self._prompt.as_text and vocabulary is not None:
            pairs = zip(symbols.tolist(), lengths.tolist(), strict=True)
            texts = [
                vocabulary.text(one) if at < length else b"" for row, length in pairs for at, one in enumerate(row)
            ]
            return text_tensor(output, texts, symbols.shape)
        dtype = self._prompt.spec.dtype
        return (output, dtype, symbols.shape), symbols.astype(NUMPY[dtype]).tobytes()


def _kept(found: list[tuple[int, ...]], scores: list[float], reason: Reason) -> Arrays:
    lengths = np.array([len(symbols) for symbols in found], np.int64)
    symbols = np.zeros((len(found), int(lengths.max())), np.int64)
    for row, one in zip(symbols, found, strict=True):
        row[: len(one)] = one
    return {
        SYMBOLS: symbols,
        SCORES: np.array(scores, np.float32),
        LENGTHS: lengths,
        REASON: np.array(REASONS.index(reason)),
    }
