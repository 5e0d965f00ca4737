"""Steps a second over many streams: this server, a bare echo and ONNX Runtime alone, in turn, five times."""

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import LOAD, MEASURED, measure, pin, start
from benchmarks.record import Record
from benchmarks.requests import FEATURES, HIDDEN, MODEL
from demo.serving import serving
from models.repository import Repository
from tests import zoo

ROUNDS = 5
WORKS = {f"stream_{streams}": streams for streams in (1, 16, 64, 256)}
BARS = {("stream_16", "echo"): 0.6, ("stream_64", "echo"): 0.6, ("stream_256", "echo"): 0.6}


def records(works: Sequence[str]) -> Iterator[Record]:
    """Measure the works, one after another; yields their records as they are done."""
    with tempfile.TemporaryDirectory() as folder:
        place = zoo.publish(Repository(Path(folder)), MODEL, zoo.lstm(FEATURES, HIDDEN, FEATURES))
        with _echo() as echo, serving(Path(folder)) as server:
            pin(server.process.pid, MEASURED)
            for work in works:
                rates = _rounds(WORKS[work], {"echo": echo, "recur": server.listen}, place.folder / zoo.GRAPH)
                for reference in ("echo", "onnxruntime"):
                    yield _record(work, reference, rates)


def _rounds(streams: int, servers: dict[str, str], graph: Path) -> dict[str, list[float]]:
    """Rates by name, a round after another, so that what disturbs the machine disturbs all alike."""
    rates: dict[str, list[float]] = {name: [] for name in (*servers, "onnxruntime")}
    for _ in range(ROUNDS):
        for name, address in servers.items():
            rates[name].append(measure("benchmarks.load", address, str(streams), core=LOAD))
        rates["onnxruntime"].append(measure("benchmarks.alone", str(graph), str(streams), core=MEASURED))
    return rates


def _record(work: str, reference: str, rates: dict[str, list[float]]) -> Record:
    ratios = [ours / other for ours, other in zip(rates["recur"], rates[reference], strict=True)]
    ratio, bar = statistics.median(rates["recur"]) / statistics.median(rates[reference]), BARS.get((work, reference))
    return Record(
        work=work,
        value=statistics.median(rates["recur"]),
        unit="steps/s",
        reference=reference,
        reference_value=statistics.median(rates[reference]),
        ratio=ratio,
        spread=(max(ratios) - min(ratios)) / statistics.median(ratios),
        better="higher",
        bar=bar,
        reached=None if bar is None else ratio >= bar,
    )


@contextmanager
def _echo() -> Iterator[str]:
    with start("benchmarks.echo", core=MEASURED) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
