"""Random requests for many sequences against a plain model of the protocol: a dictionary of sequences."""

import asyncio
from dataclasses import dataclass, replace
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.fakes import PATIENCE_SECONDS, REFUSED
from tests.server.rpc.requests import as_typed, columns, many
from tests.server.rpc.test_inbox import Served

INFINITE = float("inf")
STATUS = {
    "": 0,
    "INVALID_REQUEST": 3,
    "MODEL_REFUSED": 3,
    "NOT_FINITE": 3,
    "SEQUENCE_GONE": 5,
    "SEQUENCE_EXISTS": 6,
    "FENCED": 9,
    "STEP_CONFLICT": 9,
    "STEP_ALREADY_APPLIED": 9,
    "STEP_GAP": 9,
}


@dataclass(frozen=True)
class Row:
    """A row as it is asked; `step` is None where steps are not counted."""

    id: int | str
    values: tuple[float, ...]
    start: bool
    end: bool
    life: str
    step: int | None = None

    def digest(self):
        return self.values, self.start, self.end


@dataclass(frozen=True)
class Sequence:
    """Where a sequence stands; `last` is its last request where that counted its steps."""

    total: float
    position: int
    life: str
    last: Row | None
    sums: tuple[float, ...]

    def comes_again(self, row: Row) -> bool:
        return self.last is not None and row.step is not None and row.step + len(self.last.values) == self.position


@dataclass(frozen=True)
class Told:
    """What a row is told."""

    reason: str = ""
    sums: tuple[float, ...] = ()
    position: int = 0
    replayed: bool = False


class Protocol:
    """The table of the protocol, one row at a time."""

    def __init__(self) -> None:
        self.live: dict[int | str, Sequence] = {}
        self.ended: dict[int | str, Sequence] = {}

    def ask(self, row: Row) -> Told:
        sequence = self.live.get(row.id)
        position = sequence.position if sequence else 0
        if row.start and row.step:
            return Told("INVALID_REQUEST", position=position)
        if sequence is None:
            return self.absent(row)
        if row.start and row.step is None:
            return self.run(row, None)
        if row.life and row.life != sequence.life:
            return Told("FENCED", position=position)
        if row.step is None or (row.step == position and not row.start):
            return self.run(row, sequence)
        if sequence.comes_again(row):
            if sequence.last.digest() == row.digest():
                return Told("", sequence.sums, position, replayed=True)
            return Told("STEP_CONFLICT", position=position)
        if row.start:
            return Told("SEQUENCE_EXISTS", position=position)
        return Told("STEP_GAP" if row.step > position else "STEP_ALREADY_APPLIED", position=position)

    def absent(self, row: Row) -> Told:
        ended = self.ended.get(row.id)
        same_life = ended and (row.life == ended.life or not (row.life or row.start))
        if same_life and ended.comes_again(row) and ended.last.digest() == row.digest():
            return Told("", ended.sums, ended.position, replayed=True)
        return self.run(row, None) if row.start else Told("SEQUENCE_GONE")

    def run(self, row: Row, before: Sequence | None) -> Told:
        """Do the steps; a sequence that begins has no state before."""
        stands = self.live[row.id].position if row.id in self.live else 0
        if REFUSED in row.values:
            return Told("MODEL_REFUSED", position=stands)
        if INFINITE in row.values:
            return Told("NOT_FINITE", position=stands)
        total, position, life = (before.total, before.position, before.life) if before else (100.0, 0, row.life)
        sums = tuple(accumulate(row.values, initial=total))[1:]
        last = None if row.step is None else row
        after = Sequence(sums[-1], position + len(sums), life, last, sums)
        self.live[row.id] = after
        self.ended.pop(row.id, None)
        if row.end:
            self.ended[row.id] = self.live.pop(row.id)
        return Told("", sums, after.position)


class Client:
    """Makes rows out of what is drawn: the next step, the last one again, or one that does not follow."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.sent: dict[int | str, Row] = {}

    def row(self, drawn: Row, kind: str, *, counted: bool) -> Row:
        last = self.sent.get(drawn.id)
        if kind == "again" and last is not None and (last.step is not None) == counted:
            return last
        if not counted:
            return drawn
        sequence = self.protocol.live.get(drawn.id)
        position = sequence.position if sequence else 0
        return replace(drawn, step=max(0, position + {"ahead": 1, "behind": -1}.get(kind, 0) * (not drawn.start)))

    def tell(self, rows: list[Row]) -> list[Told]:
        """Ask the model, each id once."""
        told, seen = [], set()
        for row in rows:
            if not row.id or row.id in seen:
                told.append(Told("INVALID_REQUEST"))
            else:
                told.append(self.protocol.ask(row))
                self.sent[row.id] = row
            seen.add(row.id)
        return told


VALUES = st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0, 1.0, 2.0, 3.0, REFUSED, INFINITE]), min_size=1, max_size=4)
KINDS = st.sampled_from(["next", "next", "next", "again", "again", "ahead", "behind"])
LIVES = st.sampled_from(["", "", "", "one", "two"])
ROWS = st.tuples(st.integers(0, 4), VALUES, st.booleans(), st.sampled_from([False, False, True]), LIVES, KINDS)
REQUESTS = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.lists(ROWS, min_size=1, max_size=6))
# Requests of one group are sent without waiting for each other.
GROUPS = st.lists(st.lists(REQUESTS, min_size=1, max_size=3), min_size=1, max_size=6)


def message(rows: list[Row], *, counted: bool, typed: bool):
    request = many(
        [row.id for row in rows],
        [row.values for row in rows],
        start=[row.start for row in rows],
        end=[row.end for row in rows],
        step=[row.step for row in rows] if counted else None,
        lives=[row.life for row in rows],
    )
    return as_typed(request) if typed else request


def assert_told(answer, expected: list[Told]) -> None:
    found = columns(answer)
    time = found["y"].shape[1]
    reasons = [text.split(":")[0].split(" ")[-1] for text in found["sequence_error"]]
    assert reasons == [told.reason for told in expected]
    assert found["sequence_status"].tolist() == [STATUS[told.reason] for told in expected]
    assert found["recur_step"].tolist() == [told.position for told in expected]
    assert found["recur_replayed"].tolist() == [told.replayed for told in expected]
    assert found["y"][..., 0].tolist() == [[*told.sums, *[0.0] * (time - len(told.sums))] for told in expected]


async def play(groups) -> None:
    served = Served(max_batch=3, capacity=32)
    protocol = Protocol()
    client = Client(protocol)
    async with served.server.running() as engine:
        for group in groups:
            waiting = []
            for texts, counted, typed, drawn in group:
                rows = []
                for id_, values, start, end, life, kind in drawn:
                    name = (str(id_) if id_ else "") if texts else id_
                    rows.append(client.row(Row(name, tuple(values), start, end, life), kind, counted=counted))
                told = client.tell(rows)
                waiting.append((served.send(message(rows, counted=counted, typed=typed)), told))
            for future, told in waiting:
                await asyncio.wait([future, engine], timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                assert_told(future.result(), told)
        store = served.server.catalogue.find("adder").store
        assert (store.live, len(served.server.sessions)) == (len(protocol.live), len(protocol.live))
        assert len(served.server.scheduler) == 0


@settings(max_examples=150)
@given(GROUPS)
def test_many_rows_are_answered_as_the_protocol_says(groups):
    asyncio.run(play(groups))
