import json
from pathlib import Path

import pytest

from benchmarks.record import HEADER, compare, line, write


def test_a_ratio_is_of_medians_and_the_spread_is_of_the_rounds():
    record = compare("work", [10.0, 30.0, 20.0], "steps/s", "echo", [10.0, 40.0, 80.0], bar=0.5)
    assert (record.value, record.reference_value, record.ratio) == (20.0, 40.0, 0.5)
    assert record.spread == pytest.approx((1.0 - 0.25) / 0.75)


@pytest.mark.parametrize(
    ("better", "value", "reached"),
    [("higher", 49.0, False), ("higher", 50.0, True), ("lower", 50.0, True), ("lower", 51.0, False)],
)
def test_a_bar_is_reached_from_its_better_side(better, value, reached):
    assert compare("work", [value], "us", "echo", [100.0], better=better, bar=0.5).reached is reached


def test_without_a_bar_nothing_is_reached_or_missed():
    record = compare("work", [1.0], "us", "echo", [2.0])
    assert record.reached is None
    assert line(record).endswith("0%")


def test_memory_that_did_not_grow_has_no_spread():
    record = compare("work", [0.0], "B/seq", "allowed", [1.0], better="lower", bar=1.0)
    assert (record.spread, record.reached) == (0.0, True)


def test_a_line_says_what_was_missed_and_which_side_is_better():
    assert line(compare("work", [50.0], "steps/s", "echo", [100.0], bar=0.6)).endswith("  0.6 MISSED")
    assert line(compare("work", [5.0], "us", "echo", [10.0], better="lower", bar=2)).endswith("  at most 2 reached")


def test_small_values_keep_their_decimals_in_a_line_that_fits_the_header():
    written = line(compare("p99_half_load", [1.234], "us/step", "onnxruntime", [1234567.8], bar=1.0))
    assert " 1.23 us/step" in written
    assert " 1,234,568 " in written
    assert written.index("1.0 MISSED") == HEADER.index("bar")


def test_the_file_has_every_field_of_every_record(tmp_path: Path):
    write(tmp_path / "build" / "bench.json", [compare("work", [1.0], "us", "echo", [2.0])])
    [written] = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert list(written) == [
        "work", "value", "unit", "reference", "reference_value", "ratio", "spread", "better", "bar", "reached",
    ]  # fmt: skip
