"""Sets of which a step is numbers."""

from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from training.data import store
from training.data.data import Sequences
from training.data.forms.form import Form, forecast, form_of, made_by
from training.data.generated.adding import make_adding
from training.data.generated.associative_recall import make_associative_recall
from training.data.generated.copy_bits import make_copy_bits
from training.data.generated.mackey_glass import make_mackey_glass
from training.data.generated.narma import make_narma
from training.data.generated.sines import make_sines
from training.data.published.fsdd import load_fsdd
from training.data.published.japanese_vowels import load_japanese_vowels
from training.data.published.mnist import load_mnist
from training.data.published.polymusic import Collection, load_polymusic
from training.data.published.santafe_laser import load_santafe_laser
from training.data.series import Parts, Series, part_in_order
from training.data.spectrum import log_mel
from training.options import AtLeastTwo, Count


def polymusic(*, collection: Collection = "JSB_Chorales") -> Form:
    """Piano rolls of 88 keys; the targets are the next step's keys."""
    return form_of(store.read("polymusic", partial(load_polymusic, collection=collection)))


def mnist(*, read_by: Literal["rows", "pixels", "permuted"] = "rows", limit: int = 0) -> Form:
    """Digits, a step for each row or pixel; of the training part the first `limit`, or all."""
    digits = store.read("mnist", load_mnist)
    parts: Parts[Sequences] = digits.each(lambda part: list(getattr(part, read_by)()))
    return Form(replace(parts, train=parts.train[: limit or None]), classes=10)


def fsdd(*, left_out: str = "") -> Form:
    """Spoken digits, a step for each 10 ms; with `left_out` that speaker alone is for test."""
    recordings = store.read("fsdd", partial(load_fsdd, left_out=left_out))
    made: Parts[Sequences] = recordings.each(
        lambda part: [Series(log_mel(one.sound), np.array(one.digit)) for one in part]
    )
    return Form(made, classes=10)


def japanese_vowels() -> Form:
    """Series of 12 coefficients a step; the target is the speaker."""
    return form_of(store.read("japanese_vowels", load_japanese_vowels), classes=9)


def santafe_laser(*, competition: bool = False) -> Form:
    """One series; the targets are the next values."""
    return Form(forecast(store.read("santafe_laser", partial(load_santafe_laser, competition=competition))))


def mackey_glass(*, seed: int = 0, steps: Count = 10_000, delay: Count = 17) -> Form:
    """One series; the targets are the next values."""
    return Form(forecast(part_in_order(make_mackey_glass(seed, steps, delay))))


def narma(*, seed: int = 0, steps: Count = 4000) -> Form:
    """One series of inputs; the targets are what the system answers with."""
    whole = make_narma(seed, steps)
    cuts, targets = (part_in_order(np.asarray(array, np.float32)) for array in (whole.inputs, whole.targets))
    return Form(
        Parts(
            [Series(cuts.train, targets.train)],
            [Series(cuts.validation, targets.validation)],
            [Series(cuts.test, targets.test)],
            cuts.rule,
        )
    )


def adding(*, steps: Count = 50, count: Count = 10_000, seed: int = 0) -> Form:
    """Rows of two numbers a step; the target is the sum of the marked ones."""
    return Form(made_by(lambda part, rows: make_adding(part, rows, steps), count, seed))


def sines(*, steps: Count = 100, count: Count = 1000, waves: Count = 3, seed: int = 0) -> Form:
    """Rows of one number a step; the targets are the next ones."""
    return Form(made_by(lambda part, rows: make_sines(part, rows, steps, waves), count, seed))


def associative_recall(
    *, longest: AtLeastTwo = 6, count: Count = 10_000, tested: tuple[AtLeastTwo, ...] = (), seed: int = 0
) -> Form:
    """Lists of items of bits, and one of them again; the targets are those of the item after it.

    Args:
        longest: a sequence has 2 to so many items.
        count: sequences to train on.
        tested: how many items the sequences of the test part have, drawn from these; none: as in training.
        seed: of all that is drawn.
    """
    trained = range(2, longest + 1)
    return Form(
        made_by(
            lambda part, rows: make_associative_recall(part, rows, trained),
            count,
            seed,
            test=lambda part, rows: make_associative_recall(part, rows, tested or trained),
        )
    )


def copy_bits(
    *, longest: Count = 20, bits: Count = 8, count: Count = 10_000, tested: tuple[Count, ...] = (), seed: int = 0
) -> Form:
    """Vectors of bits, and a flag that asks for them; the targets are the same bits after it.

    Args:
        longest: a sequence has 1 to so many vectors.
        bits: of a vector.
        count: sequences to train on.
        tested: how many vectors the sequences of the test part have, drawn from these; none: as in training.
        seed: of all that is drawn.
    """
    trained = range(1, longest + 1)
    return Form(
        made_by(
            lambda part, rows: make_copy_bits(part, rows, trained, bits),
            count,
            seed,
            test=lambda part, rows: make_copy_bits(part, rows, tested or trained, bits),
        )
    )
