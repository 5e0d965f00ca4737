"""Begins turns: what each row of some chunks means for its sequence, all at once for those that simply go on."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np

from server.catalogue import Catalogue, ServedModel
from server.digest import digests
from server.errors import InvalidRequest, RecurError, VersionMismatch
from server.exactly_once import Asked, Verdict, decide
from server.past import Past
from server.room import Room
from server.roster import Rosters
from server.turn import Turn, joined
from server.types import NOWHERE, UNNUMBERED, Chunk, ModelKey, Scope, SequenceId, Slots, Stored, Words

# Of fewer rows, to look up what is remembered of them takes as long as to look them up.
MANY = 16


@final
class Judge:
    """Reads what is stored, and takes slots for sequences that begin; changes nothing else."""

    def __init__(
        self, catalogue: Catalogue, rosters: Rosters, past: Past, room: Room, *, clock: Callable[[], float]
    ) -> None:
        self._catalogue = catalogue
        self._rosters = rosters
        self._past = past
        self._room = room
        self._clock = clock

    def begin(self, chunks: Sequence[Chunk]) -> Turn:
        """Judge the rows of chunks of one model version."""
        model = self._catalogue[chunks[0].model]
        turn = self._judged(model, chunks)
        signature = model.runtime.signatures[turn.part]
        if signature.whole:
            self._refuse_longer(model, turn)
            if signature.free:
                _refuse_unlike(model, turn, [name for name, _ in signature.free])
        return turn

    def _judged(self, model: ServedModel, chunks: Sequence[Chunk]) -> Turn:
        slots, all_live = self._slots(model, chunks)
        turn, records = Turn(chunks, slots), model.store.records
        turn.before = before = records.position.take(slots if turn.sources is None else turn.sources, mode="clip")
        turn.positions = before + turn.advances
        if turn.plain and all_live:
            return turn
        lives = records.life.take(turn.slots, mode="clip")
        live = turn.slots >= 0
        turn.before = before = before * live
        goes_on = live & ~turn.start
        if turn.lives.any():
            goes_on &= (turn.lives == 0) | (turn.lives == lives)
        if turn.numbered is not None:
            goes_on &= ~turn.numbered | (turn.steps == before)
            turn.digests = _digests(chunks, model)
        turn.lives = np.where(goes_on, lives, turn.lives)
        if not goes_on.all():
            self._judge(model, turn, np.flatnonzero(~goes_on).tolist())
        return turn

    def _refuse_longer(self, model: ServedModel, turn: Turn) -> None:
        """Refuse rows whose sequence would have more steps than are kept until its end."""
        most = self._room.limits(model.key.name).max_sequence_steps
        steps = np.where(turn.fresh, 0, turn.before) + turn.lengths
        rows = turn.running()
        for row in rows[(turn.slots[rows] >= 0) & (steps[rows] > most)].tolist():
            turn.fail(
                row,
                InvalidRequest(
                    f"the sequence would have {steps.item(row)} steps, and {most} are the most that are kept until its "
                    "end; end it earlier, or begin anew"
                ),
            )

    def _slots(self, model: ServedModel, chunks: Sequence[Chunk]) -> tuple[Slots, bool]:
        """Look up the slots of all rows, and whether each has one."""
        roster, scope = self._rosters.of(model.key), chunks[0].scope
        if all(len(chunk.ids) >= MANY for chunk in chunks):
            columns = [column for chunk in chunks if (column := roster.slots(chunk.scope, chunk.ids)) is not None]
            if len(columns) == len(chunks):
                return joined(columns), True
        if all(chunk.ids and chunk.scope is scope and not chunk.lease for chunk in chunks):
            of = roster.of(scope)
            slots = [of.get(sequence, NOWHERE) for chunk in chunks for sequence in chunk.ids]
        else:
            slots = []
            for chunk in chunks:
                of = roster.of(chunk.scope)
                if chunk.lease is not None:
                    lives = of.get(chunk.ids[0]) == chunk.lease.home
                    slots += chunk.lease.writes.tolist() if lives else [NOWHERE] * chunk.rows
                    continue
                slots += [of.get(sequence, NOWHERE) for sequence in chunk.ids] or [NOWHERE] * chunk.rows
        return np.array(slots, np.intp), NOWHERE not in slots

    def _judge(self, model: ServedModel, turn: Turn, rows: Sequence[int]) -> None:
        """Judge one by one the rows that begin, come again or may be wrong."""
        creating: list[int] = []
        for row in rows:
            if not turn.keeps(row):
                _begin_anew(turn, row)
                continue
            try:
                verdict = self._verdict(model, turn, row, *turn.owner(row))
            except RecurError as error:
                turn.fail(row, error)
                continue
            if verdict is Verdict.CREATE:
                creating.append(row)
            elif verdict is Verdict.ANEW:
                _begin_anew(turn, row)
            elif verdict is Verdict.REPLAY:
                turn.replays[row] = stored = self._stored(model, turn, row, *turn.owner(row))
                turn.positions[row] = stored.position
        if creating:
            self._create(model, turn, creating)

    def _verdict(self, model: ServedModel, turn: Turn, row: int, scope: Scope, sequence: SequenceId) -> Verdict:
        slot, ended = turn.slots.item(row), None
        asked = Asked(turn.start.item(row), turn.steps.item(row), turn.lives.item(row), turn.digests.item(row))
        live = model.store.records[slot] if slot >= 0 else None
        if live is not None and turn.part == "peek":
            live = live._replace(length=UNNUMBERED)  # a question is no step, and never one that comes again
        named = f"sequence {sequence!r} of model '{scope.model}'"
        if live is None:
            elsewhere = self._rosters.version(scope, sequence)
            if elsewhere is not None and not (asked.start and asked.step == UNNUMBERED):
                raise VersionMismatch(
                    f"{named} runs on version {elsewhere.version}, the request is for version {model.key.version}; "
                    "leave the version out"
                )
            ended = self._past.get(scope, sequence, self._clock())
            if ended and ended.model != model.key:
                ended = ended._replace(record=None)
        return decide(asked, live, ended, named)

    def _stored(self, model: ServedModel, turn: Turn, row: int, scope: Scope, sequence: SequenceId) -> Stored:
        slot = turn.slots.item(row)
        return model.store.recall(slot) if slot >= 0 else self._past.stored(scope, sequence)

    def _create(self, model: ServedModel, turn: Turn, rows: Sequence[int]) -> None:
        """Take slots for sequences that begin here, first for those that leave another version by it."""
        moving: dict[int, ModelKey] = {}
        if not self._rosters.alone(model.key):
            moving = {row: old for row in rows if (old := self._rosters.version(*turn.owner(row)))}
        leaving: list[ServedModel] = []
        for row, old in moving.items():
            with_it = [*leaving, self._catalogue[old]]
            if self._take(model, turn, [row], with_it):
                leaving = with_it
        self._take(model, turn, [row for row in rows if row not in moving], leaving)

    def _take(self, model: ServedModel, turn: Turn, rows: Sequence[int], leaving: Sequence[ServedModel]) -> int:
        """Take slots for as many rows as there is room for, the first first; returns how many."""
        slots, full = self._room.take(model, len(rows), leaving)
        for row, slot in zip(rows, slots, strict=False):
            turn.slots[row] = slot
            turn.created.append(row)
            _begin_anew(turn, row)
        for row in rows[len(slots) :]:
            turn.fail(row, full)
        return len(slots)


def _refuse_unlike(model: ServedModel, turn: Turn, free: Sequence[str]) -> None:
    """Refuse rows whose steps are of another size than those that are kept of their sequence."""
    for row in turn.running().tolist():
        if turn.slots[row] < 0 or turn.fresh[row] or not turn.before[row]:
            continue
        kept, given = model.store.sizes(turn.slots.item(row)), turn.place(row)[0].inputs
        for name in free:
            had, came = list(kept[name][1:]), list(given[name].shape[2:])
            if had != came:
                turn.fail(
                    row, InvalidRequest(f"input '{name}' has steps of {came}, and the sequence's before were of {had}")
                )


def _begin_anew(turn: Turn, row: int) -> None:
    turn.fresh[row], turn.positions[row] = True, turn.advances[row]


def _digests(chunks: Sequence[Chunk], model: ServedModel) -> Words:
    return np.array(
        [value for chunk in chunks for value in digests(chunk, model.runtime.signatures[chunk.part])], np.uint64
    )
