"""How many new sequences there is room for: live ones and their bytes, of each model version and of all."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import final

from server.catalogue import Catalogue, ServedModel
from server.errors import RecurError, SequencesFull, StateFull
from server.limits import Limits, Totals
from server.stores.base import StateStore


@final
class Room:
    """Counted at the stores when asked, so that nothing is counted twice.

    Args:
        limits: those of a model, by its name.
        totals: those of all models together.
    """

    def __init__(self, catalogue: Catalogue, limits: Callable[[str], Limits], totals: Totals) -> None:
        self._catalogue = catalogue
        self._totals = totals
        self.limits = limits

    def take(self, model: ServedModel, count: int, leaving: Sequence[ServedModel] = ()) -> tuple[list[int], RecurError]:
        """Take slots for as many of `count` new sequences as there is room for; the error is for the others.

        Args:
            model: the version on which they begin.
            count: how many they are.
            leaving: for each sequence that ends where one of this turn begins, the version that it leaves.
        """
        free, full = min(self._bounds(model, leaving), key=lambda bound: bound[0])
        try:
            return model.store.allocate(min(count, max(0, free))), full
        except StateFull as error:
            return [], error

    def admits(self) -> bool:
        """Whether every model that serves has room for another sequence."""
        return all(free > 0 for model in self._catalogue.served() for free, _ in self._bounds(model))

    def left(self, name: str, store: StateStore) -> float:
        """Tell by how many bytes the states in a version's store may grow; infinite without a limit. From any thread.

        Args:
            name: the version's model.
            store: of the version, which may not serve yet.
        """
        own, total = self.limits(name).max_state_bytes, self._totals.max_total_state_bytes
        return min(
            own - store.used_bytes if own else math.inf,
            total - self._used_bytes() if total else math.inf,
        )

    def _used_bytes(self) -> int:
        return sum(loaded.store.used_bytes for loaded in self._catalogue.loaded())

    def _bounds(self, model: ServedModel, leaving: Sequence[ServedModel] = ()) -> Iterable[tuple[int, RecurError]]:
        limits, totals, store = self.limits(model.key.name), self._totals, model.store
        most = limits.max_sequences
        yield (
            most - store.live,
            SequencesFull(f"at most {most} sequences live on a version of this model; try again later"),
        )
        if most := limits.max_state_bytes:
            yield (
                (most - store.used_bytes) // store.slot_bytes,
                StateFull(f"the sequences of this model hold {most} bytes, the most they may; try again later"),
            )
        if most := totals.max_total_sequences:
            yield (
                most + len(leaving) - sum(loaded.store.live for loaded in self._catalogue.loaded()),
                SequencesFull(f"at most {most} sequences live here; try again later"),
            )
        if most := totals.max_total_state_bytes:
            used = self._used_bytes() - sum(left.store.slot_bytes for left in leaving)
            yield (
                (most - used) // store.slot_bytes,
                StateFull(f"the sequences here hold {most} bytes, the most they may; try again later"),
            )
