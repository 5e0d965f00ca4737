"""The table of sets that a recipe can name: each as sequences in three parts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from training.data import store
from training.data.data import Data, Sequences, digest_of_parts
from training.data.generated.adding import make_adding
from training.data.generated.associative_recall import make_associative_recall
from training.data.generated.copy_bits import make_copy_bits
from training.data.generated.copy_memory import make_copy_memory
from training.data.generated.mackey_glass import make_mackey_glass
from training.data.generated.narma import make_narma
from training.data.generated.sines import make_sines
from training.data.generated.temporal_order import make_temporal_order
from training.data.published.japanese_vowels import load_japanese_vowels
from training.data.published.mnist import load_mnist
from training.data.published.names import Name, load_names
from training.data.published.polymusic import Collection, load_polymusic
from training.data.published.santafe_laser import load_santafe_laser
from training.data.series import Batch, Floats, Parts, Series, Symbols, next_step, part_in_order
from training.data.settings import SetData
from training.errors import WrongUse
from training.options import Count, check_options

MADE = "made from seeds, one for each part"
NO_LICENCE = "none needed"

AtLeastTwo = Annotated[int, msgspec.Meta(ge=2)]

# Of the seed of a part and the count of its sequences.
Make = Callable[[int, int], Iterable[Series]]


@dataclass(frozen=True, slots=True)
class Form:
    """Sequences, how many symbols and classes they have (0 for numbers), and what else Data has of them."""

    parts: Parts[Sequences]
    symbols: int = 0
    classes: int = 0
    vocabulary: tuple[str, ...] = ()
    edge: int | None = None
    ends: Literal["", "symbol", "length"] = ""
    about: tuple[str, ...] = ()


def polymusic(*, collection: Collection = "JSB_Chorales") -> Form:
    """Piano rolls of 88 keys; the targets are the next step's keys."""
    return _form(store.read("polymusic", partial(load_polymusic, collection=collection)))


def mnist(*, read_by: Literal["rows", "pixels", "permuted"] = "rows", limit: int = 0) -> Form:
    """Digits, a step for each row or pixel; of the training part the first `limit`, or all."""
    digits = store.read("mnist", load_mnist)
    parts: Parts[Sequences] = digits.each(lambda part: list(getattr(part, read_by)()))
    return Form(replace(parts, train=parts.train[: limit or None]), classes=10)


def japanese_vowels() -> Form:
    """Series of 12 coefficients a step; the target is the speaker."""
    return _form(store.read("japanese_vowels", load_japanese_vowels), classes=9)


def santafe_laser(*, competition: bool = False) -> Form:
    """One series; the targets are the next values."""
    return Form(_forecast(store.read("santafe_laser", partial(load_santafe_laser, competition=competition))))


def mackey_glass(*, seed: int = 0, steps: Count = 10_000, delay: Count = 17) -> Form:
    """One series; the targets are the next values."""
    return Form(_forecast(part_in_order(make_mackey_glass(seed, steps, delay))))


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
    return Form(_made(lambda part, rows: make_adding(part, rows, steps), count, seed))


def temporal_order(*, steps: Count = 50, count: Count = 10_000, seed: int = 0) -> Form:
    """Rows of six symbols; the target is one of four orders."""
    return _of_symbols(lambda part, rows: make_temporal_order(part, rows, steps), count, seed, classes=4)


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
        _made(
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
        _made(
            lambda part, rows: make_copy_bits(part, rows, trained, bits),
            count,
            seed,
            test=lambda part, rows: make_copy_bits(part, rows, tested or trained, bits),
        )
    )


def copy_memory(*, blank: Count = 30, count: Count = 10_000, seed: int = 0) -> Form:
    """Rows of ten symbols; the targets are the copied ones at the end, and blanks before."""
    return _of_symbols(lambda part, rows: make_copy_memory(part, rows, blank), count, seed, classes=10)


def sines(*, steps: Count = 100, count: Count = 1000, waves: Count = 3, seed: int = 0) -> Form:
    """Rows of one number a step; the targets are the next ones."""
    return Form(_made(lambda part, rows: make_sines(part, rows, steps, waves), count, seed))


def names(*, ends: Literal["symbol", "length"] = "symbol", languages: bool = True) -> Form:
    """Names as symbols; what a name is about is its language, and with `ends = "length"` how long it is.

    Args:
        ends: a name ends with a symbol of its own, or when as many symbols were read as were said at its beginning.
        languages: whether the language is said.
    """
    parts = store.read("names", load_names)
    known = sorted({name.language for part in (parts.train, parts.validation, parts.test) for name in part})
    characters = sorted({character for name in parts.train for character in name.text})
    edge = len(characters) + 1
    index = {character: place for place, character in enumerate(characters)}

    def series(name: Name) -> Series:
        symbols = np.array([index.get(character, edge - 1) for character in name.text], np.int64)
        about = np.array([language == name.language for language in known if languages], np.float32)
        if ends == "length":
            about = np.append(about, np.float32(len(symbols)))
            return Series(np.append(edge, symbols[:-1]), symbols, about)
        return Series(np.append(edge, symbols), np.append(symbols, edge), about if languages else None)

    vocabulary = (*characters, "\N{REPLACEMENT CHARACTER}", "\n")
    made: Parts[Sequences] = parts.each(lambda part: [series(name) for name in part])
    about = tuple(known) if languages else ()
    return Form(made, edge + 1, edge + 1, vocabulary, edge, ends, about)


FORMS: Mapping[str, Callable[..., Form]] = {
    form.__name__: form
    for form in (
        adding,
        associative_recall,
        copy_bits,
        copy_memory,
        japanese_vowels,
        mackey_glass,
        mnist,
        names,
        narma,
        polymusic,
        santafe_laser,
        sines,
        temporal_order,
    )
}


def check_set(data: SetData) -> dict[str, Any]:
    """Give all options of a named set, the given ones checked; raises ValueError that names the key."""
    if data.name not in FORMS:
        raise ValueError(f"data.name: '{data.name}' is not one of {', '.join(FORMS)}")
    try:
        return check_options(FORMS[data.name], data.options)
    except ValueError as error:
        raise ValueError(str(error).replace("cell", "data.options", 1)) from error


def open_set(data: SetData) -> Data:
    """Read or make a named set; raises DataInvalid where it is not here, with the command that brings it."""
    try:
        form = FORMS[data.name](**check_set(data))
    except ValueError as error:
        raise WrongUse(f"data set '{data.name}': {error}") from error
    licence = NO_LICENCE if form.parts.rule == MADE or data.name in MADE_HERE else store.find(data.name).licence
    digest = digest_of_parts(form.parts)
    return Data(
        form.parts,
        form.symbols,
        form.classes,
        licence,
        digest,
        vocabulary=form.vocabulary,
        edge=form.edge,
        ends=form.ends,
        about=form.about,
    )


MADE_HERE = frozenset(
    {"adding", "associative_recall", "copy_bits", "copy_memory", "mackey_glass", "narma", "sines", "temporal_order"}
)


def _form(parts: Parts[list[Series]], *, classes: int = 0) -> Form:
    return Form(parts.each(lambda part: part), classes=classes)


def _forecast(parts: Parts[Floats]) -> Parts[Sequences]:
    return parts.each(lambda part: [next_step(part)])


def _made(make: Make, count: int, seed: int, *, test: Make | None = None) -> Parts[Sequences]:
    """Make the training part, and a tenth as much of each other, at least 100; `test` may make that part otherwise."""
    fewer = max(100, count // 10)
    train, validation, held_out = (
        list(one(3 * seed + part, rows))
        for part, (one, rows) in enumerate(((make, count), (make, fewer), (test or make, fewer)))
    )
    return Parts(train, validation, held_out, MADE)


def _of_symbols(make: Callable[[int, int], Symbols], count: int, seed: int, *, classes: int) -> Form:
    kinds = make(0, 1).kinds

    def rows(part: int, rows: int) -> Batch:
        made = make(part, rows)
        return Batch(made.inputs, made.targets)

    return Form(_made(rows, count, seed), symbols=kinds, classes=classes)
