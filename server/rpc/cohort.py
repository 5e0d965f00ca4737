"""Generations of one stream that go on together, each a row of the same chunk."""

import time
from collections.abc import Callable, Hashable, MutableMapping, Sequence
from typing import Protocol, final

import msgspec
import numpy as np
from typing_extensions import override

from models.manifest import Decode, TensorSpec
from models.tensors import NUMPY
from server import types
from server.cohorts import one_chunk
from server.errors import InvalidRequest, NotFinite, RecurError
from server.generation import NO_PROBABILITIES, draw
from server.rpc.unwritten import Steps, Unwritten, grown
from server.sampling import Drawn
from server.sessions import Sessions
from server.types import UNNUMBERED, Answer, Chunk, Flags, Ints, Slots, Words


class Generation(Protocol):
    """One request that generates.

    Attributes:
        most: steps at most.
        answer_steps: steps that an answer has at most.
    """

    @property
    def most(self) -> int: ...  # noqa: D102

    answer_steps: int

    def encode(self, steps: Steps) -> bytes:
        """Write an answer that is not the last."""
        ...

    def finish(self, chunk: Chunk, drawn: Drawn, number: int, position: int) -> None:
        """Answer with the last step."""
        ...

    def fail(self, error: RecurError) -> None:
        """Answer with an error."""
        ...


class Answers(Protocol):
    """Who may be given several answers to one request.

    Attributes:
        open: whether anybody is there to read them.
        cohorts: of its generations, those that may run in one chunk.
    """

    open: bool
    cohorts: "MutableMapping[Hashable, Cohort]"

    def send(self, answer: Callable[[], bytes]) -> None:
        """Send an answer that is not the last; it is asked for when it is written."""
        ...

    def waits(self, *, full: bool) -> bool:
        """Whether generations are to wait until the client has read; `full` where an answer has no more room."""
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
    """One answer of a generation: the steps that it has had since the answer before, when it is written."""

    def __init__(self, generation: Generation, unwritten: Unwritten, seat: int) -> None:
        self._generation = generation
        self._unwritten = unwritten
        self._seat = seat
        self._steps: Steps | None = None

    def settle(self) -> Steps:
        """Take no more steps."""
        if self._steps is None:
            self._steps = self._unwritten.take(self._seat)
        return self._steps

    def encode(self) -> bytes:
        """Write it."""
        return self._generation.encode(self.settle())


@final
class Cohort(types.Cohort):
    """Every generation has a seat here, the same from its first step to its last; chunks name the seats of their rows.

    Args:
        decode: how an answer becomes the next input.
        spec: of that input.
        sessions: of the sequences.
        answers: the stream.

    Attributes:
        chunks: those that wait; the requests' own chunks have this list as their cuts, by which they are cancelled.
    """

    def __init__(self, decode: Decode, spec: TensorSpec, sessions: Sessions, answers: Answers) -> None:
        self._decode = decode
        self._dtype = NUMPY[spec.dtype]
        self._sessions = sessions
        self._answers = answers
        self._generations: list[Generation | None] = []
        self._parts: list[Part | None] = []
        self._free: list[int] = []
        self._most: Words = np.zeros(0, np.uint64)
        self._answer_steps: Ints = np.zeros(0, np.int64)
        self._unwritten = Unwritten()
        self.chunks: list[Chunk] = []

    def enter(self, generation: Generation, first: Chunk, following: Chunk, drawn: Drawn, position: Ints) -> Chunk:
        """Let a generation join.

        Args:
            generation: which has had the answer to its prompt.
            first: the chunk of the prompt.
            following: that of the step after it.
            drawn: what that step is fed.
            position: steps that the sequence has had, `[1]`.
        """
        seats = np.array([self._seat(generation)], np.intp)
        first.cuts = self.chunks
        following.cohort, following.done, following.place = self, self.take, seats
        assert first.draws is not None
        following.draws, following.held = first.draws.following(), self._tell(seats, drawn, position)
        return following

    @override
    def join(self, chunks: Sequence[Chunk]) -> Chunk:
        joined = one_chunk(chunks)
        self.chunks.append(joined)
        return joined

    def take(self, chunk: Chunk, answer: Answer) -> Chunk | None:
        """Tell what is drawn from a step of each row; gives the chunk that it is fed to, of the rows that go on."""
        self.chunks[:] = [other for other in self.chunks if other is not chunk]
        if answer.errors:
            self._fail(chunk, answer)
            rows = np.setdiff1d(np.arange(chunk.rows), list(answer.errors))
            if not len(rows):
                return None
            outputs = {name: array[rows] for name, array in answer.outputs.items()}
            chunk, answer = chunk.cut_out(rows), Answer(outputs, answer.positions[rows])
        assert chunk.draws is not None
        drawn, positions = answer.drawn, answer.positions
        if drawn is None:
            drawn = draw(self._decode, answer.outputs[self._decode.output][:, 0], chunk.draws)
        over = self._over(chunk, drawn)
        if over.any():
            self._finish(chunk, np.flatnonzero(over), drawn, positions)
            goes = np.flatnonzero(~over)
            if not len(goes):
                return None
            chunk, drawn, positions = chunk.cut_out(goes), drawn.rows(goes), positions[goes]
        return self._following(chunk, drawn, positions)

    def _following(self, chunk: Chunk, drawn: Drawn, positions: Ints) -> Chunk:
        assert chunk.draws is not None
        assert chunk.before is not None
        assert chunk.place is not None
        return msgspec.structs.replace(
            chunk,
            inputs={**chunk.inputs, self._decode.input: drawn.values.astype(self._dtype, copy=False)[:, None]},
            steps=chunk.steps if chunk.plain else np.where(chunk.steps == UNNUMBERED, UNNUMBERED, positions),
            before=chunk.before + 1,
            arrived=time.monotonic(),
            draws=chunk.draws.following(),
            held=self._tell(chunk.place, drawn, positions),
            cuts=[],
        )

    def _fail(self, chunk: Chunk, answer: Answer) -> None:
        for row, error in answer.errors.items():
            self._leave(_seat_of(chunk, row)).fail(error)

    def _over(self, chunk: Chunk, drawn: Drawn) -> Flags:
        """Tell which rows' generations go no further."""
        assert chunk.draws is not None
        if not self._answers.open:
            return np.ones(chunk.rows, np.bool_)
        over: Flags = (
            drawn.ends | np.isnan(drawn.log_probs) | (chunk.draws.numbers + np.uint64(1) >= self._most[chunk.place])
        )
        return over

    def _finish(self, chunk: Chunk, rows: Slots, drawn: Drawn, positions: Ints) -> None:
        assert chunk.draws is not None
        for row in rows.tolist():
            generation, one = self._leave(_seat_of(chunk, row)), np.array([row])
            if np.isnan(drawn.log_probs[row]):
                generation.fail(NotFinite(NO_PROBABILITIES))
                continue
            number = chunk.draws.numbers.item(row)
            generation.finish(chunk.cut_out(one), drawn.rows(one), number, positions.item(row))

    def _tell(self, seats: Slots, drawn: Drawn, positions: Ints) -> bool:
        """Add a step to each answer that is not written yet, or begin one; gives whether the client must read first."""
        unwritten, most = self._unwritten, self._answer_steps[seats]
        counts = unwritten.counts[seats]
        begins = seats[(counts == 0) | (counts >= most)].tolist()
        for seat in begins:
            if (part := self._parts[seat]) is not None:
                part.settle()
        unwritten.add(seats, drawn, positions)
        full = bool((unwritten.counts[seats] >= most).any())
        for seat in begins:
            self._send(seat)
        if held := self._answers.waits(full=full):
            self._answers.hold(self._resume)
        return held

    def _send(self, seat: int) -> None:
        generation = self._generations[seat]
        assert generation is not None
        self._parts[seat] = part = Part(generation, self._unwritten, seat)
        self._answers.send(part.encode)

    def _resume(self) -> None:
        for chunk in self.chunks:
            self._sessions.resume(chunk)

    def _seat(self, generation: Generation) -> int:
        """Give a generation a seat."""
        if not self._free:
            seats = len(self._generations)
            self._free += range(seats, 2 * seats or 1)
            more = len(self._free)
            self._generations += [None] * more
            self._parts += [None] * more
            self._most, self._answer_steps = grown(self._most, seats + more), grown(self._answer_steps, seats + more)
            self._unwritten.reserve(seats + more)
        seat = self._free.pop()
        self._generations[seat] = generation
        self._most[seat], self._answer_steps[seat] = generation.most, generation.answer_steps
        return seat

    def _leave(self, seat: int) -> Generation:
        """Let a generation go; what it is told last comes after all that it was told before."""
        generation, part = self._generations[seat], self._parts[seat]
        assert generation is not None
        if part is not None:
            part.settle()
        self._generations[seat] = self._parts[seat] = None
        self._free.append(seat)
        return generation


def _seat_of(chunk: Chunk, row: int) -> int:
    assert chunk.place is not None
    return chunk.place.item(row)
