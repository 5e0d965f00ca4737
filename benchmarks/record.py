"""What a benchmark found: one work beside one reference, in a table and in a file."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Record:
    """One work beside one reference; values are medians.

    Attributes:
        ratio: value over reference_value.
        spread: of the rounds' ratios, the largest less the smallest, over their median.
        better: whether a higher or a lower ratio is.
        bar: the ratio to reach, or None.
    """

    work: str
    value: float
    unit: str
    reference: str
    reference_value: float
    ratio: float
    spread: float
    better: Better
    bar: float | None
    reached: bool | None


def compare(
    work: str,
    values: Sequence[float],
    unit: str,
    reference: str,
    reference_values: Sequence[float],
    *,
    better: Better = "higher",
    bar: float | None = None,
) -> Record:
    """Compare a work with its reference, of which each round gave one value."""
    ratios = [value / other for value, other in zip(values, reference_values, strict=True)]
    value, reference_value = statistics.median(values), statistics.median(reference_values)
    ratio = value / reference_value
    middle = statistics.median(ratios)
    return Record(
        work=work,
        value=value,
        unit=unit,
        reference=reference,
        reference_value=reference_value,
        ratio=ratio,
        spread=(max(ratios) - min(ratios)) / abs(middle) if middle else 0.0,
        better=better,
        bar=bar,
        reached=None if bar is None else ratio >= bar if better == "higher" else ratio <= bar,
    )


HEADER = f"{'work':<22} {'value':>10} {'unit':<9} {'reference':<12} {'value':>10} {'ratio':>6} {'spread':>7}  bar"


def line(record: Record) -> str:
    """Write a record as a line of the table."""
    return (
        f"{record.work:<22} {_number(record.value):>10} {record.unit:<9} {record.reference:<12} "
        f"{_number(record.reference_value):>10} {record.ratio:>6.2f} {record.spread:>7.0%}  {_bar(record)}".rstrip()
    )


def write(path: Path, records: Sequence[Record]) -> None:
    """Write all records as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(record) for record in records], indent=2) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _bar(record: Record) -> str:
    if record.bar is None:
        return ""
    most = "" if record.better == "higher" else "at most "
    return f"{most}{record.bar} {'reached' if record.reached else 'MISSED'}"
