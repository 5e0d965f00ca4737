import pytest

from server.types import Scope, Watch
from server.watch import Watches
from tests.server.fakes import SCOPE, Server, result

OTHER = Scope("tenant", SCOPE.model)


class Told:
    """A stream that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list = []
        self.watch = Watch(lambda scope, sequence, event: self.events.append((sequence, event)))


@pytest.fixture
def watches():
    return Watches()


def test_who_follows_a_sequence_is_told_once_what_befell_it(watches):
    told = Told()
    watches.follow(told.watch, SCOPE, [1, 2])
    watches.tell(SCOPE, 1, "expired")
    watches.tell(SCOPE, 1, "expired")
    watches.tell(SCOPE, 3, "expired")
    watches.tell(OTHER, 2, "expired")
    assert told.events == [(1, "expired")]


def test_a_stream_whose_sequence_another_takes_is_told_that_it_was_fenced(watches):
    first, second = Told(), Told()
    watches.follow(first.watch, SCOPE, [1, 2])
    watches.follow(second.watch, SCOPE, [2])
    watches.follow(None, SCOPE, [1])
    watches.tell(SCOPE, 1, "expired")
    watches.tell(SCOPE, 2, "expired")
    assert first.events == [(2, "fenced"), (1, "fenced")]
    assert second.events == [(2, "expired")]


def test_a_stream_that_ended_is_told_nothing_and_leaves_nothing_behind(watches):
    first, second = Told(), Told()
    watches.follow(first.watch, SCOPE, [1, 2])
    watches.follow(second.watch, SCOPE, [2])
    watches.close(first.watch)
    watches.tell(SCOPE, 1, "expired")
    watches.tell(SCOPE, 2, "expired")
    assert (first.events, second.events) == ([(2, "fenced")], [(2, "expired")])
    assert not first.watch.keys


def test_only_the_first_request_of_a_stream_says_whether_it_is_told():
    for first in (True, False):
        watch = Told().watch
        assert [watch.wants(said=said) for said in (first, not first, True, False)] == [first] * 4


async def test_sequences_tell_whoever_asked_for_their_last_step():
    server, told = Server(), Told()
    async with server.running():
        for sequence in ("idle", "ended", "gone"):
            await result(server.ask([1], sequence=sequence, start=True, watch=told.watch))
        await result(server.ask([1], sequence="ended", end=True, watch=told.watch))
        server.clock.now += 30
        await result(server.ask([1], sequence="gone", watch=told.watch))
        server.clock.now += 31
        await server.sessions.expire()
        assert told.events == [("idle", "expired")]
        [model] = server.catalogue.served()
        await server.sessions.end_all(model.key, "was ended: its model was unloaded")
    assert told.events == [("idle", "expired"), ("gone", "model_gone")]


async def test_a_step_that_is_refused_takes_no_sequence_from_its_stream():
    server, told, other = Server(), Told(), Told()
    async with server.running():
        await result(server.ask([1], sequence=1, start=True, step=0, watch=told.watch))
        await result(server.ask([1], sequence=1, step=9, watch=other.watch))
        server.clock.now += 61
        await server.sessions.expire()
    assert (told.events, other.events) == ([(1, "expired")], [])


def test_a_stream_that_cannot_be_told_fails_nobody(watches, caplog):
    def notify(scope, sequence, event):
        raise ValueError

    watches.follow(Watch(notify), SCOPE, [1])
    watches.tell(SCOPE, 1, "expired")
    assert [record.message for record in caplog.records] == ["notice failed"]
