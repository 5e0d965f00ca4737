"""What a set is made into: sequences in three parts, and what Data has of them besides."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from training.data.data import Sequences
from training.data.series import Batch, Floats, Parts, Series, Symbols, next_step

MADE = "made from seeds, one for each part"

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
    labels: tuple[str, ...] = ()
    source_symbols: int = 0
    source_vocabulary: tuple[str, ...] = ()


def form_of(parts: Parts[list[Series]], *, classes: int = 0) -> Form:
    """Take sequences as they are."""
    return Form(parts.each(lambda part: part), classes=classes)


def forecast(parts: Parts[Floats]) -> Parts[Sequences]:
    """Ask of each part's series what comes next."""
    return parts.each(lambda part: [next_step(part)])


def made_by(make: Make, count: int, seed: int, *, test: Make | None = None) -> Parts[Sequences]:
    """Make the training part, and a tenth as much of each other, at least 100; `test` may make that part otherwise."""
    fewer = max(100, count // 10)
    train, validation, held_out = (
        list(one(3 * seed + part, rows))
        for part, (one, rows) in enumerate(((make, count), (make, fewer), (test or make, fewer)))
    )
    return Parts(train, validation, held_out, MADE)


def of_symbols(make: Callable[[int, int], Symbols], count: int, seed: int, *, classes: int) -> Form:
    """Make rows of symbols, and classes of each row or step."""
    kinds = make(0, 1).kinds

    def rows(part: int, rows: int) -> Batch:
        made = make(part, rows)
        return Batch(made.inputs, made.targets)

    return Form(made_by(rows, count, seed), symbols=kinds, classes=classes)
