"""The table of works: what `make bench` measures, beside what, and what it must reach."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from benchmarks.beside import BesidePeer
from benchmarks.company import Beside, Flooded
from benchmarks.generation import Generated, Searched
from benchmarks.latency import HalfLoad
from benchmarks.memory import Churn, IdleBytes
from benchmarks.over_native import OverNative
from benchmarks.record import Record
from benchmarks.scheduling import Scheduling
from benchmarks.throughput import Throughput


class Work(Protocol):
    """Something to measure."""

    def records(self, work: str) -> Iterator[Record]:
        """Measure under the name `work`; raises Unmeasured where the server cannot do it."""
        ...


# Requests of many rows under way: one is run, one read, one written, one on its way.
LANES = 4


def _streams(count: int, bar: float | None) -> Throughput:
    return Throughput("stream", count, batch=(count, 1), bars={"echo": bar, "onnxruntime": None})


def _rows(count: int, bar: float) -> Throughput:
    return Throughput("rows", LANES, size=count, batch=(count, 1), bars={"onnxruntime": bar})


def _native(callers: int) -> OverNative:
    return OverNative(callers, bars={"echo": 0.5, "grpcio": 3.0})


def _native_rows(rows: int, bar: float) -> OverNative:
    return OverNative(LANES, rows=rows, batch=(rows, 1), bars={"onnxruntime": bar})


WORKS: Mapping[str, Work] = {
    "stream_1": _streams(1, None),
    "stream_16": _streams(16, 0.6),
    "stream_64": _streams(64, 0.8),
    "stream_256": _streams(256, 0.8),
    "unary_64": Throughput("unary", 64, bars={"echo": 0.8}),
    "rows_64": _rows(64, 0.35),
    "rows_256": _rows(256, 0.55),
    "native_unary_64": _native(64),
    "native_unary_256": _native(256),
    "native_rows_64": _native_rows(64, 0.35),
    "native_rows_256": _native_rows(256, 0.55),
    "chunk16_64": Throughput("stream", 64, size=16, batch=(64, 16), bars={"onnxruntime": 0.33}),
    "generate_64": Generated(sequences=64, together=64, bar=0.8),
    "beam_4": Searched(sequences=16, width=4, bar=4.5),
    "p99_half_load": HalfLoad(streams=64, bar=2.0),
    "p99_slow_reader": Beside(streams=64, sluggish=8, bar=2.0),
    "resets_20k": Flooded("resets", 20_000, allowed=1.0),
    "pings_50k": Flooded("pings", 50_000, allowed=1.0),
    "idle_bytes": IdleBytes(sequences=1_000_000, allowance=300),
    "churn_rss": Churn(sequences=5_000_000, allowed=1.0),
    "scheduler_us": Scheduling(allowed=3.0),
    "train_lstm": BesidePeer("benchmarks.training_step", ("lstm", "{}"), "torch", bar=1.15),
    "train_gru": BesidePeer("benchmarks.training_step", ("gru", "{}"), "torch", bar=1.15),
    "tree_balanced": BesidePeer("benchmarks.trees", ("{}",), "chain", bar=1.0),
    "esn_1000": BesidePeer("benchmarks.reservoir", ("{}", "1000", "100000"), "reservoirpy", bar=2.0),
}
