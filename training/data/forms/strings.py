"""Sets of which a sequence has several labels, and nobody says where."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from training.data import store
from training.data.data import Sequences
from training.data.forms.form import Form
from training.data.published.fsdd import SPEAKERS, Recording, load_fsdd
from training.data.series import Floats, Parts, Series
from training.data.sound import Sound
from training.data.spectrum import log_mel
from training.errors import WrongUse
from training.options import Count

# Frames of 10 ms between two digits.
SILENCE = (5, 30)
RATE = 8000


def spoken_strings(
    *,
    shortest: Count = 3,
    longest: Count = 6,
    count: Count = 4000,
    frames: Count = 4,
    left_out: str = "",
    seed: int = 0,
) -> Form:
    """Strings of digits, recordings of one speaker with silence between; the targets are the digits.

    Args:
        shortest: digits of a string at least.
        longest: digits of a string at most.
        count: strings to train on; a tenth as many validate, and test.
        frames: of 10 ms, which make a step together.
        left_out: a speaker who is all of the test part.
        seed: of all that is drawn.
    """
    if shortest > longest:
        raise WrongUse(f"data.options: shortest is {shortest}, more than longest, {longest}")
    recordings = store.read("fsdd", partial(load_fsdd, left_out=left_out))
    fewer = max(100, count // 10)
    train, validation, test = (
        list(_strings(_by_speaker(part), rows, range(shortest, longest + 1), frames, np.random.default_rng([seed, at])))
        for at, (part, rows) in enumerate(
            ((recordings.train, count), (recordings.validation, fewer), (recordings.test, fewer))
        )
    )
    made: Parts[Sequences] = Parts(train, validation, test, f"strings of its recordings, {recordings.rule}")
    return Form(made, classes=11, labels=(*map(str, range(10)), ""))


def _by_speaker(part: Sequence[Recording]) -> list[list[tuple[Floats, int]]]:
    spoken = [[(log_mel(one.sound), one.digit) for one in part if one.speaker == speaker] for speaker in SPEAKERS]
    return [some for some in spoken if some]


def _strings(
    spoken: Sequence[Sequence[tuple[Floats, int]]],
    count: int,
    lengths: range,
    frames: int,
    random: np.random.Generator,
) -> Iterator[Series]:
    nothing = log_mel(Sound(np.zeros((RATE, 1), np.float32), RATE))[:1]
    for _ in range(count):
        some = spoken[int(random.integers(len(spoken)))]
        said = [some[place] for place in random.integers(len(some), size=random.choice(lengths)).tolist()]
        pieces = [nothing.repeat(random.integers(*SILENCE), 0)]
        for digit, _ in said:
            pieces += [digit, nothing.repeat(random.integers(*SILENCE), 0)]
        whole = np.concatenate(pieces)
        steps = whole[: len(whole) // frames * frames].reshape(-1, frames * whole.shape[1])
        if len(steps) < len(said):
            raise WrongUse(f"data.options.frames is {frames}, of which a string of {len(said)} digits has too few")
        targets = np.full(len(steps), -1, np.int64)
        targets[: len(said)] = [digit for _, digit in said]
        yield Series(steps, targets)
