"""What a benchmark found: one work beside one reference, in a table and in a file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """One work beside one reference; values are medians.

    Attributes:
        ratio: value over reference_value.
        spread: of the rounds' ratios, the largest less the smallest, over their median.
        bar: the ratio to reach, or None.
    """

    work: str
    value: float
    unit: str
    reference: str
    reference_value: float
    ratio: float
    spread: float
    better: str
    bar: float | None
    reached: bool | None


HEADER = f"{'work':<12} {'value':>10} {'unit':<8} {'reference':<12} {'value':>10} {'ratio':>6} {'spread':>7}  bar"


def line(record: Record) -> str:
    """Write a record as a line of the table."""
    bar = "" if record.bar is None else f"{record.bar} {'reached' if record.reached else 'MISSED'}"
    return (
        f"{record.work:<12} {record.value:>10,.0f} {record.unit:<8} {record.reference:<12} "
        f"{record.reference_value:>10,.0f} {record.ratio:>6.2f} {record.spread:>6.0%}  {bar}"
    )


def write(path: Path, records: Sequence[Record]) -> None:
    """Write all records as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(record) for record in records], indent=2) + "\n", encoding="utf-8")
