"""Who lives in which slot of which model version."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import final

import numpy as np

from server.types import NOWHERE, ModelKey, Scope, SequenceId, Slots

# Of so many requests' sequences the slots are remembered at most.
REMEMBERED = 256
NOBODY = np.empty(0, np.intp)


@final
class Roster:
    """The live sequences of one model version: slots by id, ids by slot."""

    def __init__(self) -> None:
        self._slots: dict[Scope, dict[SequenceId, int]] = {}
        self._ids: list[SequenceId] = []
        self._scopes: list[Scope | None] = []
        self._found: dict[tuple[Scope, int], tuple[Sequence[SequenceId], Slots]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def of(self, scope: Scope) -> dict[SequenceId, int]:
        """Look up the slots of a scope's sequences."""
        slots = self._slots.get(scope)
        return self._slots.setdefault(scope, {}) if slots is None else slots

    def slots(self, scope: Scope, ids: Sequence[SequenceId]) -> Slots | None:
        """Look up the slots of sequences; None where one of them does not live here.

        The same ids are not looked up again until somebody leaves.
        """
        known, slots = self._found.get((scope, id(ids)), (None, NOBODY))
        if known is ids:
            return slots
        found = list(map(self.of(scope).get, ids, repeat(NOWHERE)))
        if NOWHERE in found:
            return None
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[scope, id(ids)] = ids, np.array(found, np.intp)
        return self._found[scope, id(ids)][1]

    def enter(self, scope: Scope, sequence: SequenceId, slot: int) -> None:
        """Let a sequence live in a slot."""
        while len(self._ids) <= slot:
            self._ids.append(0)
            self._scopes.append(None)
        self.of(scope)[sequence] = slot
        self._ids[slot], self._scopes[slot] = sequence, scope

    def leave(self, scope: Scope, sequence: SequenceId) -> int:
        """End a sequence; returns the slot it lived in."""
        self._found.clear()
        slot = self.of(scope).pop(sequence)
        self._ids[slot], self._scopes[slot] = 0, None
        return slot

    def lives(self, slot: int) -> bool:
        """Whether a sequence lives in a slot, and it is not lent to one that lives in another."""
        return slot < len(self._scopes) and self._scopes[slot] is not None

    def who(self, slot: int) -> tuple[Scope, SequenceId]:
        """Tell who lives in a slot; raises KeyError where nobody does."""
        scope = self._scopes[slot]
        if scope is None:
            raise KeyError(slot)
        return scope, self._ids[slot]

    def everyone(self) -> list[tuple[Scope, SequenceId]]:
        """List the live sequences."""
        return [(scope, sequence) for scope, slots in self._slots.items() for sequence in slots]


@final
class Rosters:
    """The rosters of all versions; a sequence lives on one of its model's versions at most."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[ModelKey, Roster]] = {}

    def __len__(self) -> int:
        return sum(len(roster) for _, roster in self.items())

    def __contains__(self, key: ModelKey) -> bool:
        return key in self._by_name.get(key.name, {})

    def of(self, key: ModelKey) -> Roster:
        """Find or make a version's roster."""
        versions = self._by_name.setdefault(key.name, {})
        if key not in versions:
            versions[key] = Roster()
        return versions[key]

    def count(self, key: ModelKey) -> int:
        """Count the sequences that live on a version."""
        versions = self._by_name.get(key.name, {})
        return len(versions[key]) if key in versions else 0

    def alone(self, key: ModelKey) -> bool:
        """Whether no other version of the model has had sequences."""
        versions = self._by_name.get(key.name, {})
        return len(versions) == (key in versions)

    def version(self, scope: Scope, sequence: SequenceId) -> ModelKey | None:
        """Find the version on which a sequence lives; None where it does not."""
        for key, roster in self._by_name.get(scope.model, {}).items():
            if sequence in roster.of(scope):
                return key
        return None

    def items(self) -> Iterable[tuple[ModelKey, Roster]]:
        """List the versions that have had sequences."""
        return [item for versions in self._by_name.values() for item in versions.items()]

    def drop(self, key: ModelKey) -> None:
        """Forget a version that is gone."""
        self._by_name.get(key.name, {}).pop(key, None)
