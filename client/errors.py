"""What can go wrong, read from the server's statuses or found on the way to it.

ClientError
├── InvalidRequest           INVALID_ARGUMENT     what was sent breaks the protocol
├── NotFound                 NOT_FOUND            no such model or version
│   └── SequenceGone         .. SEQUENCE_GONE     the sequence is unknown, ended or expired
├── AlreadyLive              ALREADY_EXISTS       a sequence of this id lives; END it, or take another id
├── Conflict                 FAILED_PRECONDITION  the sequence is elsewhere than its client thinks
│   ├── StepConflict         .. STEP_CONFLICT     another input was applied as this step
│   ├── StepAlreadyApplied   .. STEP_ALREADY_APPLIED
│   ├── StepGap              .. STEP_GAP
│   ├── Fenced               .. FENCED            the id belongs to another life now
│   └── VersionMismatch      .. VERSION_MISMATCH
├── Full                     RESOURCE_EXHAUSTED   no room; `retry_after_seconds` is the server's hint
├── Unavailable              UNAVAILABLE          no connection, or a server that cannot serve now
├── Timeout                  DEADLINE_EXCEEDED    no answer in time; the same request can be sent again
└── ServerFault              all others           a fault of the server
"""

from collections.abc import Mapping
from typing import ClassVar


class ClientError(Exception):
    """Any request without an answer.

    Attributes:
        sentence: what came, what was expected, what to do.
        code: the name of the gRPC status.
        reason: Recur's reason; empty where the error comes from the way to the server.
        position: the steps that the sequence has had, where the server told it.
        retry_after_seconds: the server's hint, where it gave one.
    """

    default_code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        sentence: str,
        *,
        code: str = "",
        reason: str = "",
        position: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.code = code or self.default_code
        self.reason = reason
        self.sentence = sentence
        self.position = position
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{self.code} {reason}: {sentence}" if reason else f"{self.code}: {sentence}")


class InvalidRequest(ClientError):
    """What was sent breaks the protocol or does not fit the model."""

    default_code = "INVALID_ARGUMENT"


class NotFound(ClientError):
    """No such model or version."""

    default_code = "NOT_FOUND"


class SequenceGone(NotFound):
    """The sequence is unknown, ended or expired; its state is no more."""


class AlreadyLive(ClientError):
    """A sequence of this id lives already."""

    default_code = "ALREADY_EXISTS"


class Conflict(ClientError):
    """The sequence is elsewhere than its client thinks; `position` says where."""

    default_code = "FAILED_PRECONDITION"


class StepConflict(Conflict):
    """Another input was applied as this step."""


class StepAlreadyApplied(Conflict):
    """The sequence is past this step."""


class StepGap(Conflict):
    """The sequence has not come to this step."""


class Fenced(Conflict):
    """The id belongs to another life of the sequence now."""


class VersionMismatch(Conflict):
    """The sequence runs on another version of the model."""


class Full(ClientError):
    """No room now; `retry_after_seconds` is the server's hint."""

    default_code = "RESOURCE_EXHAUSTED"


class Unavailable(ClientError):
    """No connection, or a server that cannot serve now."""

    default_code = "UNAVAILABLE"


class Timeout(ClientError):
    """No answer in time; whether the step was applied is unknown, and the same step can be sent again."""

    default_code = "DEADLINE_EXCEEDED"


class ServerFault(ClientError):
    """A fault of the server, or a status that has no class of its own."""


BY_CODE: Mapping[str, type[ClientError]] = {
    kind.default_code: kind for kind in (InvalidRequest, NotFound, AlreadyLive, Conflict, Full, Unavailable, Timeout)
}
BY_REASON: Mapping[str, type[ClientError]] = {
    "SEQUENCE_GONE": SequenceGone,
    "STEP_CONFLICT": StepConflict,
    "STEP_ALREADY_APPLIED": StepAlreadyApplied,
    "STEP_GAP": StepGap,
    "FENCED": Fenced,
    "VERSION_MISMATCH": VersionMismatch,
}


def error_of(
    code: str,
    reason: str,
    sentence: str,
    *,
    position: int | None = None,
    retry_after_seconds: float | None = None,
) -> ClientError:
    """Make the error of a status; the reason decides before the code."""
    kind = BY_REASON.get(reason) or BY_CODE.get(code, ServerFault)
    return kind(sentence, code=code, reason=reason, position=position, retry_after_seconds=retry_after_seconds)
