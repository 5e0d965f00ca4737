"""Steps of generations that are drawn and not told yet: a row of a table for each generation, its seat."""

from typing import NamedTuple, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from server.sampling import Drawn
from server.types import Array, Ints, Slots

Logarithms = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)


class Steps(NamedTuple):
    """Some steps of a generation, one after another.

    Attributes:
        values: what was fed back, `[steps, …]`.
        log_probs: `[steps]`.
        position: steps that the sequence had after them.
        stops: the last of them has no value.
    """

    values: Array
    log_probs: Logarithms
    position: int
    stops: bool = False


@final
class Unwritten:
    """The steps of each seat since its last answer.

    Attributes:
        counts: how many they are, `[seats]`.
    """

    def __init__(self) -> None:
        self.counts: Ints = np.zeros(0, np.int64)
        self._positions: Ints = np.zeros(0, np.int64)
        self._log_probs: Logarithms = np.zeros((0, 0), np.float32)
        self._values: Array | None = None

    def reserve(self, seats: int) -> None:
        """Let there be so many seats."""
        self.counts, self._positions = grown(self.counts, seats), grown(self._positions, seats)

    def add(self, seats: Slots, drawn: Drawn, positions: Ints) -> None:
        """Add a step of each of some seats, after which their sequences have had so many."""
        places = self.counts[seats]
        values = self._with_room(int(places.max()) + 1, drawn.values)
        values[seats, places] = drawn.values
        self._log_probs[seats, places] = drawn.log_probs
        self._positions[seats] = positions
        self.counts[seats] = places + 1

    def take(self, seat: int) -> Steps:
        """Take a seat's steps."""
        count = self.counts.item(seat)
        assert self._values is not None
        self.counts[seat] = 0
        return Steps(
            self._values[seat, :count].copy(), self._log_probs[seat, :count].copy(), self._positions.item(seat)
        )

    def _with_room(self, places: int, values: Array) -> Array:
        """Let the tables have all seats, and so many places in each; gives that of the values."""
        if self._values is None:
            self._values = np.zeros((0, 0, *values.shape[1:]), values.dtype)
        seats, had = self._log_probs.shape
        if seats < len(self.counts) or had < places:
            sizes = len(self.counts), had if had >= places else max(places, 2 * had)
            self._log_probs, self._values = grown(self._log_probs, *sizes), grown(self._values, *sizes)
        return self._values


def grown(table: NDArray[Number], *sizes: int) -> NDArray[Number]:
    """Copy a table into a larger one, zeros behind it."""
    grown = np.zeros((*sizes, *table.shape[len(sizes) :]), table.dtype)
    grown[tuple(slice(size) for size in table.shape)] = table
    return grown
