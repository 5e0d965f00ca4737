"""What a generated step is asked for and gives: plain values."""

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


class Draw(NamedTuple):
    """What one draw depends on, beside the answer; not on what is drawn with it.

    Attributes:
        how: temperature, top_k and top_p; for symbols alone.
        seed: of the whole generation.
        number: of the step, from 0.
    """

    how: Sampling
    seed: int
    number: int


class Drawn(NamedTuple):
    """What one step gave.

    Attributes:
        value: what is fed back, `[1, …]` as one step of the decoded input.
        log_prob: its natural logarithm of probability as the model has it, whatever the sampling.
        ends: whether it is the symbol that ends a sequence.
        stops: whether the sequence stops without another value, which `value` then does not tell.
    """

    value: NDArray[np.generic]
    log_prob: float
    ends: bool
    stops: bool = False
