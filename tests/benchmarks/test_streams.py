import json
from pathlib import Path

import pytest

from benchmarks import streams
from benchmarks.record import Record, line, write

pytestmark = pytest.mark.e2e


def test_a_work_is_measured_beside_both_references(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(streams, "ROUNDS", 1)
    records = list(streams.records(["stream_16"]))
    assert [(record.work, record.reference) for record in records] == [
        ("stream_16", "echo"),
        ("stream_16", "onnxruntime"),
    ]
    for record in records:
        assert record.value > 0
        assert record.ratio == record.value / record.reference_value
        assert record.spread == 0
    assert records[0].bar == 0.6
    assert records[0].reached == (records[0].ratio >= 0.6)
    assert records[1].reached is None
    write(tmp_path / "build" / "bench.json", records)
    written = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert list(written[0]) == [
        "work", "value", "unit", "reference", "reference_value", "ratio", "spread", "better", "bar", "reached",
    ]  # fmt: skip


def test_a_missed_bar_is_shown_as_missed():
    record = Record("stream_16", 50.0, "steps/s", "echo", 100.0, 0.5, 0.1, "higher", 0.6, reached=False)
    assert line(record).endswith("0.6 MISSED")
