"""What can go wrong for a client, each with its gRPC code, its reason and one sentence.

RecurError
├── InvalidRequest       INVALID_ARGUMENT     a parameter, tensor or message that breaks the protocol
├── NotFinite            INVALID_ARGUMENT     inputs that would make a state or an output infinite or NaN
├── ModelRefused         INVALID_ARGUMENT     inputs that the model's graph cannot run on
├── ModelMissing         NOT_FOUND            no such model or version
├── ModelNotReady        UNAVAILABLE          a model that is there but does not serve
├── ControlRefused       FAILED_PRECONDITION  loading by request, where the server follows its repository
├── LoadFailed           FAILED_PRECONDITION  a model that was asked for and cannot be loaded
├── SequenceGone         NOT_FOUND            a step of a sequence that is unknown, ended or expired
├── VersionMismatch      FAILED_PRECONDITION  a step that names another version than its sequence runs on
├── SequenceExists       ALREADY_EXISTS       a start of a sequence that lives already
├── StepRefused          FAILED_PRECONDITION  a numbered step that does not follow the sequence's last one
│   ├── Fenced                                it means another life of its id
│   ├── StepConflict                          it was done before, with other inputs
│   ├── StepAlreadyApplied                    the sequence is further on
│   └── StepGap                               steps between are missing
├── SequencesFull        RESOURCE_EXHAUSTED   no room for another live sequence
├── StateFull            RESOURCE_EXHAUSTED   no room for another sequence's state
├── QueueFull            RESOURCE_EXHAUSTED   too many requests wait already
├── QueueTimeout         DEADLINE_EXCEEDED    a request that waited longer than it allowed
├── Draining             UNAVAILABLE          a server that is stopping
├── NotServed            UNIMPLEMENTED        a call of the protocol that Recur does not serve
└── Internal             INTERNAL             a fault of the server; the cause is in its log alone
"""

from typing import ClassVar

import grpc

# Characters of a request's id, and of a sentence, that an error's text has at most.
LONGEST_ID, LONGEST_SENTENCE = 256, 1000


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class RecurError(Exception):
    """Any answer that is not OK; its sentence is safe for every client to read."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    reason: ClassVar[str] = "INTERNAL"
    retry_after_seconds: ClassVar[float | None] = None

    def __init__(self, sentence: str, *, position: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.position = position

    def text(self, request_id: str = "") -> str:
        """Write the one text form: `[request id: ID] CODE REASON: sentence`; what a client made long is cut.

        A call's status travels as metadata, of which clients take some kilobytes and else show an error of their own.
        """
        prefix = f"[request id: {_cut(request_id, LONGEST_ID)}] " if request_id else ""
        return f"{prefix}{self.code.name} {self.reason}: {_cut(self.sentence, LONGEST_SENTENCE)}"


class InvalidRequest(RecurError):
    """A parameter, tensor or message that breaks the protocol."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_REQUEST"


class NotFinite(RecurError):
    """Inputs that would make a state or an output infinite or NaN."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "NOT_FINITE"


class ModelRefused(RecurError):
    """Inputs that the model's graph cannot run on."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "MODEL_REFUSED"


class ModelMissing(RecurError):
    """No such model or version."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "MODEL_NOT_FOUND"


class ModelNotReady(RecurError):
    """A model that is there but does not serve."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "MODEL_NOT_READY"


class ControlRefused(RecurError):
    """A request to load or unload, where the server follows its repository by itself."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "CONTROL_REFUSED"


class LoadFailed(RecurError):
    """A model that was asked for and cannot be loaded."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "LOAD_FAILED"


class SequenceGone(RecurError):
    """A step of a sequence that is unknown, ended or expired; never zeros in its place."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "SEQUENCE_GONE"


class VersionMismatch(RecurError):
    """A step that names another version than its sequence runs on."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "VERSION_MISMATCH"


class SequenceExists(RecurError):
    """A start of a sequence that lives already."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "SEQUENCE_EXISTS"


class StepRefused(RecurError):
    """A numbered step that does not follow the sequence's last one; the state is as it was."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Fenced(StepRefused):
    """A request that means another life of its id than the live one."""

    reason = "FENCED"


class StepConflict(StepRefused):
    """A step that was done before, with other inputs."""

    reason = "STEP_CONFLICT"


class StepAlreadyApplied(StepRefused):
    """A step behind the sequence's position, whose answer is not kept any more."""

    reason = "STEP_ALREADY_APPLIED"


class StepGap(StepRefused):
    """A step ahead of the sequence's position."""

    reason = "STEP_GAP"


class SequencesFull(RecurError):
    """No room for another live sequence."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "SEQUENCES_FULL"
    retry_after_seconds = 1.0


class StateFull(RecurError):
    """No room for another sequence's state."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "STATE_FULL"
    retry_after_seconds = 1.0


class QueueFull(RecurError):
    """Too many requests wait already."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"
    retry_after_seconds = 0.1


class QueueTimeout(RecurError):
    """A request that waited longer than it allowed; its sequence is as it was."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "QUEUE_TIMEOUT"


class Draining(RecurError):
    """A server that is stopping."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "DRAINING"
    retry_after_seconds = 1.0


class NotServed(RecurError):
    """A call of the protocol that Recur does not serve."""

    code = grpc.StatusCode.UNIMPLEMENTED
    reason = "NOT_SERVED"


class Internal(RecurError):
    """A fault of the server; the cause is in its log alone."""
