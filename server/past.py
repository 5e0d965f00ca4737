"""What is remembered of sequences that are no more: how they went and, for a while, their last answers."""

from collections import OrderedDict
from typing import final

from server.exactly_once import Ended
from server.types import ModelKey, Scope, SequenceId, Stored

REMEMBERED = 10_000
ANSWER_BYTES = 64 * 2**20


@final
class Past:
    """The latest that went, within a count and within bytes of stored answers."""

    def __init__(self) -> None:
        self._ended: OrderedDict[tuple[Scope, SequenceId], Ended] = OrderedDict()
        self.used_bytes = 0

    def get(self, scope: Scope, sequence: SequenceId, now: float) -> Ended | None:
        """Look up how a sequence went, its answer only while it is kept; None where that is not remembered."""
        ended = self._ended.get((scope, sequence))
        return ended if ended is None or now < ended.until else Ended(ended.how, ended.until, ended.model)

    def version(self, scope: Scope, sequence: SequenceId, now: float, *, start: bool) -> ModelKey | None:
        """Find the version on which a sequence ended that could be answered again, a start only by its first answer."""
        ended = self.get(scope, sequence, now)
        if ended is None or ended.record is None or (start and ended.record.position != ended.record.length):
            return None
        return ended.model

    def stored(self, scope: Scope, sequence: SequenceId) -> Stored:
        """Give the last answer of a sequence whose record was just looked up."""
        stored = self._ended[scope, sequence].stored
        if stored is None:
            raise KeyError(sequence)
        return stored

    def add(self, scope: Scope, sequence: SequenceId, ended: Ended) -> None:
        """Remember how a sequence went, and forget what is beyond the bounds."""
        self.forget(scope, sequence)
        self._ended[scope, sequence] = ended
        self.used_bytes += ended.bytes
        while len(self._ended) > REMEMBERED or self.used_bytes > ANSWER_BYTES:
            self.used_bytes -= self._ended.popitem(last=False)[1].bytes

    def forget(self, scope: Scope, sequence: SequenceId) -> None:
        """Forget a life of the id, since it lives again."""
        if gone := self._ended.pop((scope, sequence), None):
            self.used_bytes -= gone.bytes
