"""The list of all sets, published and generated, for people, for programs, and for docs/data.md."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from training.data.generators import GENERATED
from training.data.sets import DataSet, published
from training.data.store import is_here

MADE = "made from a seed"


@dataclass(frozen=True, slots=True)
class Row:
    """A set; `here` is true of what can be used at once, `sources` are REPOSITORY@COMMIT."""

    name: str
    task: str
    counts: str
    split: str
    licence: str
    citation: str
    sources: tuple[str, ...]
    here: bool

    def as_json(self) -> dict[str, object]:
        """Give the row as JSON has it."""
        return asdict(self)


def rows() -> list[Row]:
    """Give every set, the published ones first."""
    made = [
        Row(name, one.task, MADE, "a seed for each part", "none needed", one.citation, (), here=True)
        for name, one in GENERATED.items()
    ]
    return [_published(name, data_set) for name, data_set in published().items()] + made


def as_lines() -> str:
    """Give a line for each set, whole words in columns."""
    cells = [("NAME", "HERE", "TASK", "COUNTS (train / validation / test)", "LICENCE")] + [
        (row.name, "yes" if row.here else "no", row.task, row.counts, row.licence) for row in rows()
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "".join(f"{line}\n" for line in lines)


def as_markdown() -> str:
    """Give a table of the published sets, and one of those that are made."""
    given = [(f"`{r.name}`", r.task, r.counts, r.split, r.licence, r.citation) for r in rows() if r.sources]
    made = [(f"`{r.name}`", r.task, r.citation) for r in rows() if not r.sources]
    return "\n".join(
        [
            _table(("set", "task", "counts as released", "split here", "licence", "citation"), given),
            _table(("set", "task", "proposed by"), made),
        ]
    )


def _table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ("---",) * len(head), *lines])


def _published(name: str, data_set: DataSet) -> Row:
    sources = tuple(f"{source.repository}@{source.commit}" for source in data_set.sources)
    return Row(
        name,
        data_set.task,
        data_set.counts,
        data_set.split,
        data_set.licence,
        data_set.citation,
        sources,
        here=is_here(name),
    )
