"""One life of a sequence: numbers its steps, so that each is applied exactly once however often it is sent."""

import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import msgspec
import numpy as np

from client.errors import Conflict, InvalidRequest, SequenceGone
from client.messages import Answer, Arrays, Inputs, Reply, Request, Scalar, SequenceId, answer_of, as_arrays, last_steps
from client.plans import Call, Emit, More, Pause, Plan, ask, failure
from client.retry import HURRIED, Attempts, Retry


class Generation(msgspec.Struct, frozen=True):
    """How to generate; what is None is the server's choice, but the seed, which is then drawn here.

    A try after a lost one must generate the same.
    """

    max_steps: int
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    beam_width: int | None = None
    length_penalty: float | None = None
    answer_steps: int | None = None

    def parameters(self) -> dict[str, Scalar]:
        """Name them as the protocol does."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        if self.beam_width is None:
            given.setdefault("seed", secrets.randbits(31))
        return {f"recur_{name}": value for name, value in given.items()}


@final
class Life:
    """Says what to send next and takes in what came back; the shells do the sending."""

    def __init__(
        self,
        model: str,
        sequence_id: SequenceId | None,
        *,
        version: str = "",
        attempts: Callable[[Retry | None], Attempts],
    ) -> None:
        self.id: SequenceId = uuid.uuid4().hex if sequence_id is None else sequence_id
        self.incarnation = uuid.uuid4().hex
        self.position = 0
        self.live = False
        self._ended = False
        self._model = model
        self._version = version
        self._attempts = attempts
        self._last: Arrays | None = None
        self._unread: Request | None = None
        self._busy = False

    def step(self, inputs: Inputs, *, end: bool = False) -> Plan[Answer]:
        """Run the next chunk; after a Timeout the same inputs, given again, are the same step."""
        with self._alone():
            yield from self._read_to_the_end()
            request = self._request(as_arrays(inputs), end=end)
            return self._take(request, (yield from ask(request, self._attempts(None))))

    def score(self, inputs: Inputs, *, end: bool = False) -> Plan[Answer]:
        """Run the next chunk, and be told how probable it is instead of what follows it."""
        with self._alone():
            yield from self._read_to_the_end()
            request = self._request(as_arrays(inputs), end=end, parameters={"recur_score": True})
            return self._take(request, (yield from ask(request, self._attempts(None))))

    def peek(self, inputs: Inputs) -> Plan[Answer]:
        """Ask on the state as it is, and leave it so."""
        with self._alone():
            yield from self._read_to_the_end()
            if not self.live:
                raise SequenceGone(f"sequence {self.id!r} has had no step to be asked about", code="NOT_FOUND")
            request = Request(
                self._model,
                as_arrays(inputs),
                version=self._version,
                sequence_id=self.id,
                parameters={"recur_peek": True, "recur_incarnation": self.incarnation},
            )
            return answer_of((yield from ask(request, self._attempts(None))), self.position)

    def generate(self, inputs: Inputs, how: Generation, *, end: bool = False) -> Plan[None]:
        """Run the prompt and emit every generated step; a try after a lost one emits only what is new."""
        yield from self._read_to_the_end()
        request = self._request(as_arrays(inputs), end=end, parameters=how.parameters(), many=True)
        self._unread = request
        attempts, told = self._attempts(None), -1
        while True:
            event = yield Call(request, attempts.try_seconds())
            while isinstance(event, Reply):
                answer = self._take(request, event) if event.final else answer_of(event, self.position)
                if event.final or answer.position > told:
                    told = answer.position
                    yield Emit(answer)
                if event.final:
                    return
                attempts.begin_anew()
                event = yield More(event.id, attempts.try_seconds())
            self._unread = None  # an error that is raised here has its own meaning: nothing is left to read
            pause = attempts.pause_after(failure(event), safe=True)
            self._unread = request
            yield Pause(pause)

    def close(self, *, hurried: bool = False) -> Plan[bool]:
        """END the sequence where it lives, and tell whether it has ended.

        The protocol has no END without a step: the last step's input goes with it once more, and its answer away. Where
        the model refuses that input, as one that only a START takes, the sequence is left to the server's idle time.
        """
        with self._alone():
            retry = HURRIED if hurried else None
            try:
                yield from self._read_to_the_end(retry)
                if self.live and self._last is not None:
                    request = self._request(last_steps(self._last, np.zeros(1, np.intp)), end=True)
                    self._take(request, (yield from ask(request, self._attempts(retry))))
            except (SequenceGone, Conflict):
                self._finish()  # nothing of ours is left to end
            except InvalidRequest:
                return False
            return not self.live

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._busy:
            raise InvalidRequest(f"sequence {self.id!r} is in the middle of a step; wait for its answer first")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _read_to_the_end(self, retry: Retry | None = None) -> Plan[None]:
        """Learn where a generation ended whose answers were not all read: asked again, it sends its last."""
        if self._unread is not None:
            request = self._unread
            self._take(request, (yield from ask(request, self._attempts(retry))))

    def _request(
        self, inputs: Arrays, *, end: bool, parameters: dict[str, Scalar] | None = None, many: bool = False
    ) -> Request:
        if self._ended:
            raise SequenceGone(f"sequence {self.id!r} has ended; begin another", code="NOT_FOUND")
        numbered: dict[str, Scalar] = {"recur_step": self.position, "recur_incarnation": self.incarnation}
        return Request(
            self._model,
            inputs,
            version=self._version,
            sequence_id=self.id,
            start=not self.live,
            end=end,
            parameters=numbered | (parameters or {}),
            many=many,
        )

    def _take(self, request: Request, reply: Reply) -> Answer:
        answer = answer_of(reply, self.position)
        self.position = max(self.position, answer.position)
        self.live, self._unread = True, None
        self._last = request.inputs or self._last
        if request.end:
            self._finish()
        return answer

    def _finish(self) -> None:
        self.live, self._ended, self._last, self._unread = False, True, None, None
