"""What a request does step by step, as a generator without I/O: the shells perform its effects, blocking or not."""

from collections.abc import Generator
from typing import NamedTuple, TypeVar

from client.errors import ClientError
from client.messages import Answer, Event, Reply, Request
from client.retry import Attempts


class Call(NamedTuple):
    """Send the request and wait for its first answer; the result is an Event."""

    request: Request
    seconds: float


class More(NamedTuple):
    """Wait for the next answer to the request sent as `id`; the result is an Event."""

    id: str
    seconds: float


class Pause(NamedTuple):
    """Wait; no result."""

    seconds: float


class Emit(NamedTuple):
    """Give the caller an answer of many; no result."""

    answer: Answer


Effect = Call | More | Pause | Emit
T = TypeVar("T")
Plan = Generator[Effect, Event | None, T]


def ask(request: Request, attempts: Attempts) -> Plan[Reply]:
    """Send until answered; of several answers give the last."""
    while True:
        event = yield Call(request, attempts.try_seconds())
        while request.many and isinstance(event, Reply) and not event.final:
            attempts.begin_anew()
            event = yield More(event.id, attempts.try_seconds())
        if isinstance(event, Reply):
            return event
        yield Pause(attempts.pause_after(failure(event), safe=request.safe))


def failure(event: Event | None) -> ClientError:
    """Read an effect's result that is no reply."""
    if isinstance(event, ClientError):
        return event
    raise TypeError(f"a call ends with a reply or an error, not with {event!r}")
