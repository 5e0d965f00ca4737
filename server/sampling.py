"""What a generated step is asked for and gives: plain values."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray


class Sampling(msgspec.Struct, frozen=True):
    """How to generate.

    Attributes:
        max_steps: answers at most.
        temperature: what logits are divided by; 0 takes the most probable.
        top_k: draw among so many of the most probable; 0 for all.
        top_p: draw among the fewest of the most probable that together have this probability.
        seed: None where the client leaves it to the server.
        beam_width: hypotheses of a search for the most probable; 0 where steps are drawn instead.
        length_penalty: the power of the length by which a hypothesis's log-probability is divided.
    """

    max_steps: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    beam_width: int = 0
    length_penalty: float = 1.0

    @property
    def draws(self) -> bool:
        """Whether anything is said that matters only where steps are drawn."""
        return self != Sampling(self.max_steps, beam_width=self.beam_width, length_penalty=self.length_penalty)


class Draws(NamedTuple):
    """What draws of some rows depend on, beside the answers; none on what is drawn with it.

    Attributes:
        seeds: of the whole generation, `[rows]`.
        numbers: of the step, from 0, `[rows]`.
        temperatures: what logits are divided by; 0 takes the most probable, `[rows]`.
        top_k: how many of the most probable a symbol is drawn among; 0 for all, `[rows]`.
        top_p: what share the fewest have that it is drawn among, `[rows]`.
    """

    seeds: NDArray[np.uint64]
    numbers: NDArray[np.uint64]
    temperatures: NDArray[np.float64]
    top_k: NDArray[np.int64]
    top_p: NDArray[np.float64]

    @classmethod
    def of(cls, how: Sampling, seed: int, number: int) -> "Draws":
        """Give those of one row."""
        return cls(
            np.array([seed], np.uint64),
            np.array([number], np.uint64),
            np.array([how.temperature]),
            np.array([how.top_k]),
            np.array([how.top_p]),
        )

    @classmethod
    def joined(cls, several: "Sequence[Draws]") -> "Draws":
        """Put rows after rows."""
        return several[0] if len(several) == 1 else cls(*map(np.concatenate, zip(*several, strict=True)))

    def following(self) -> "Draws":
        """Give those of the next step."""
        return self._replace(numbers=self.numbers + np.uint64(1))

    def rows(self, rows: slice | NDArray[np.intp]) -> "Draws":
        """Give those of some rows."""
        return Draws(self.seeds[rows], self.numbers[rows], self.temperatures[rows], self.top_k[rows], self.top_p[rows])


class Drawn(NamedTuple):
    """What some rows' steps gave.

    Attributes:
        values: what is fed back, `[rows, …]`: one step of the decoded input each.
        log_probs: the natural logarithm of each one's probability as the model has it, whatever the sampling, `[rows]`;
            NaN where the model's answers are no probabilities of anything.
        ends: the rows that are the symbol that ends a sequence, `[rows]`.
        stops: the rows that stop without another value, which `values` then does not tell, `[rows]`.
    """

    values: NDArray[np.generic]
    log_probs: NDArray[np.float64]
    ends: NDArray[np.bool_]
    stops: NDArray[np.bool_]

    def rows(self, rows: slice | NDArray[np.intp]) -> "Drawn":
        """Give those of some rows."""
        return Drawn(self.values[rows], self.log_probs[rows], self.ends[rows], self.stops[rows])
