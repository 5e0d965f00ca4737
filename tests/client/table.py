"""The protocol's exactly-once table over a model that adds, in plain Python."""

from collections import Counter
from dataclasses import dataclass, field, replace

SequenceId = int | str


class RefusedError(Exception):
    def __init__(self, code, reason, sentence, *, position=None, retry_ms=None):
        super().__init__(sentence)
        self.code, self.reason, self.sentence = code, reason, sentence
        self.position, self.retry_ms = position, retry_ms


@dataclass(frozen=True)
class Ask:
    """What one request or row asks; `step` is None where it is not numbered."""

    x: tuple[int, ...]
    start: bool = False
    end: bool = False
    step: int | None = None
    incarnation: str = ""
    max_steps: int = 0
    seed: int = 0

    @property
    def digest(self):
        return self.x, self.start, self.end


@dataclass(frozen=True)
class Given:
    """One answer: the running sums of a chunk, or one generated symbol."""

    y: tuple[int, ...]
    position: int
    replayed: bool = False
    finish_reason: str = ""


@dataclass
class Kept:
    incarnation: str
    position: int = 0
    total: int = 0
    last_step: int = -1
    digest: object = None
    answer: Given | None = None


@dataclass
class Table:
    room: int = 1000
    live: dict[SequenceId, Kept] = field(default_factory=dict)
    ended: dict[SequenceId, Kept] = field(default_factory=dict)
    applied: Counter[SequenceId] = field(default_factory=Counter)

    def ask(self, key, ask):
        """Give the answers, one but for generation; the first line of the protocol's table that matches wins."""
        if ask.step is not None:
            replay = self._replay(key, ask)
            if replay is not None:
                return [replace(replay, replayed=True)]
        elif ask.start:
            self.live.pop(key, None)
        return self._apply(key, self._kept(key, ask), ask)

    def _replay(self, key, ask):
        if ask.start and ask.step > 0:
            raise RefusedError("INVALID_ARGUMENT", "INVALID_REQUEST", "a START has step 0")
        ended, kept = self.ended.get(key), self.live.get(key)
        asked = (ask.incarnation, ask.step, ask.digest)
        if ended is not None and asked == (ended.incarnation, ended.last_step, ended.digest):
            return ended.answer
        if kept is None:
            return None
        if kept.incarnation != ask.incarnation:
            raise RefusedError("FAILED_PRECONDITION", "FENCED", "another life has this id")
        if ask.step == kept.last_step:
            if ask.digest == kept.digest:
                return kept.answer
            raise RefusedError(
                "FAILED_PRECONDITION", "STEP_CONFLICT", "other inputs came before", position=kept.position
            )
        return None

    def _kept(self, key, ask):
        kept = self.live.get(key)
        if kept is None:
            if not ask.start:
                raise RefusedError("NOT_FOUND", "SEQUENCE_GONE", f"sequence {key} is unknown")
            if len(self.live) >= self.room:
                raise RefusedError("RESOURCE_EXHAUSTED", "SEQUENCES_FULL", "no room", retry_ms=20)
            return Kept(ask.incarnation)
        if ask.step is not None:
            if ask.start:
                raise RefusedError("ALREADY_EXISTS", "SEQUENCE_LIVE", f"sequence {key} lives")
            if kept.position != ask.step:
                reason = "STEP_ALREADY_APPLIED" if kept.position > ask.step else "STEP_GAP"
                raise RefusedError("FAILED_PRECONDITION", reason, "not this step", position=kept.position)
        return kept

    def _apply(self, key, kept, ask):
        before, sums = kept.position, []
        for value in ask.x:
            kept.total += value
            sums.append(kept.total)
        kept.position += len(ask.x)
        answers = self._generate(kept, ask) if ask.max_steps else [Given(tuple(sums), kept.position)]
        kept.last_step, kept.digest, kept.answer = before, ask.digest, answers[-1]
        self.applied[key] += 1
        (self.ended if ask.end else self.live)[key] = kept
        if ask.end:
            self.live.pop(key, None)
        return answers

    def _generate(self, kept, ask):
        answers = []
        for emitted in range(ask.max_steps):
            if emitted:
                kept.total += answers[-1].y[0]
                kept.position += 1
            last = emitted == ask.max_steps - 1
            answers.append(Given(((kept.total + ask.seed) % 10,), kept.position, finish_reason="length" * last))
        return answers
