import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import beside as peers
from benchmarks import (
    company,
    generation,
    latency,
    memory,
    over_native,
    scheduling,
    stepping,
    throughput,
    training_step,
    trees,
    writing,
)
from benchmarks.beside import BesidePeer
from benchmarks.company import Beside, Flooded
from benchmarks.latency import HalfLoad
from benchmarks.memory import PORTIONS, Churn, IdleBytes
from benchmarks.over_native import OverNative
from benchmarks.processes import LOAD, Unmeasured, echo_server, measure, recur_server, repository_of, resident_bytes
from benchmarks.record import Record, compare
from benchmarks.scheduler import seconds_a_step
from benchmarks.scheduling import Scheduling
from benchmarks.throughput import Throughput
from benchmarks.works import WORKS
from benchmarks.writer import writer
from training.architectures.trees import read_trees

MIB = 2**20


class Measured:
    """Gives the numbers that processes would have printed, by module and address, and keeps what was asked."""

    def __init__(self, printed: dict[tuple[str, ...], float]) -> None:
        self.printed = printed
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, *asked: str, core: int) -> float:
        self.asked.append(asked)
        return next(value for begin, value in self.printed.items() if asked[: len(begin)] == begin)


@contextmanager
def no_echo(module: str = "benchmarks.echo") -> Iterator[str]:
    yield {"benchmarks.echo": "ECHO", "benchmarks.native_echo": "NATIVE ECHO"}[module]


@contextmanager
def no_server_at(listen: str) -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(listen=listen, metrics="METRICS", process=SimpleNamespace(pid=1))


def no_server(*_: object) -> AbstractContextManager[SimpleNamespace]:
    return no_server_at("RECUR")


def stand_in(monkeypatch: pytest.MonkeyPatch, module: object, printed: dict[tuple[str, ...], float]) -> Measured:
    measured = Measured(printed)
    for name, value in (("measure", measured), ("echo_server", no_echo), ("recur_server", no_server)):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)
    return measured


def test_a_throughput_is_compared_with_each_of_its_references(monkeypatch):
    measured = stand_in(
        monkeypatch,
        throughput,
        {
            ("benchmarks.load", "ECHO"): 100.0,
            ("benchmarks.load", "RECUR"): 80.0,
            ("benchmarks.alone",): 1000.0,
        },
    )
    work = Throughput("stream", 64, size=16, batch=(64, 16), bars={"echo": 0.9, "onnxruntime": None}, rounds=2)
    records = list(work.records("chunks"))
    assert [(record.reference, record.ratio, record.reached) for record in records] == [
        ("echo", 0.8, False),
        ("onnxruntime", 0.08, None),
    ]
    assert ("benchmarks.load", "RECUR", "stream", "64", "16") in measured.asked
    assert [asked[2:] for asked in measured.asked if asked[0] == "benchmarks.alone"] == [("64", "16")] * 2


def test_calls_over_native_are_compared_with_the_bare_transport_and_with_grpcio(monkeypatch):
    printed = {("benchmarks.frames", "NATIVE ECHO"): 300.0, ("benchmarks.frames", "RECUR over native"): 240.0}
    measured = stand_in(monkeypatch, over_native, printed | {("benchmarks.frames", "RECUR over grpcio"): 60.0})
    monkeypatch.setattr(over_native, "recur_server", lambda _, flag, name: no_server_at(f"RECUR over {name}"))
    records = list(OverNative(64, bars={"echo": 0.9, "grpcio": 3.0}, rounds=2).records("calls"))
    assert [(record.reference, record.ratio, record.reached) for record in records] == [
        ("echo", 0.8, False),
        ("grpcio", 4.0, True),
    ]
    assert measured.asked.count(("benchmarks.frames", "RECUR over native", "64", "1")) == 2


def test_calls_of_many_rows_over_native_are_compared_with_the_same_batches_alone(monkeypatch):
    measured = stand_in(monkeypatch, over_native, {("benchmarks.frames",): 500.0, ("benchmarks.alone",): 1000.0})
    [record] = OverNative(4, rows=64, batch=(64, 1), bars={"onnxruntime": None}, rounds=1).records("rows")
    assert (record.reference, record.ratio) == ("onnxruntime", 0.5)
    assert ("benchmarks.frames", "RECUR", "4", "64") in measured.asked
    assert [asked[2:] for asked in measured.asked if asked[0] == "benchmarks.alone"] == [("64", "1")]


def test_both_servers_are_paced_at_half_of_what_this_one_can_answer(monkeypatch):
    printed = {("benchmarks.load",): 9000.0, ("benchmarks.paced", "ECHO"): 1e-3, ("benchmarks.paced", "RECUR"): 3e-3}
    measured = stand_in(monkeypatch, latency, printed)
    [record] = HalfLoad(streams=64, bar=2.0, rounds=1).records("p99")
    assert (record.value, record.unit, record.better) == (3000.0, "us", "lower")
    assert record.ratio == pytest.approx(3.0)
    assert record.reached is False
    assert measured.asked[1:] == [
        ("benchmarks.paced", "ECHO", "64", "4500.0"),
        ("benchmarks.paced", "RECUR", "64", "4500.0"),
    ]


def test_work_is_compared_with_the_same_work_by_a_peer(monkeypatch):
    printed = {("benchmarks.training_step", "lstm", "recur"): 2.2, ("benchmarks.training_step", "lstm", "torch"): 2.0}
    stand_in(monkeypatch, peers, printed)
    [record] = BesidePeer("benchmarks.training_step", ("lstm", "{}"), "torch", bar=1.15, rounds=1).records("train")
    assert (record.value, record.reference, record.reference_value, record.reached) == (2.2, "torch", 2.0, True)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("whose", ["recur", "torch"])
def test_updates_are_timed_of_either_layer(monkeypatch, cell, whose):
    for name, size in {"FEATURES": 3, "HIDDEN": 4, "ROWS": 2, "STEPS": 5, "UPDATES": 1}.items():
        monkeypatch.setattr(training_step, name, size)
    assert 0 < training_step.seconds_an_update(cell, whose) < 60


@pytest.mark.parametrize("shape", ["recur", "chain"])
def test_updates_are_timed_over_trees_of_either_shape(monkeypatch, shape):
    for name, size in {"SIZE": 4, "ROWS": 2, "WORDS": 8, "UPDATES": 1}.items():
        monkeypatch.setattr(trees, name, size)
    assert 0 < trees.seconds_an_update(shape) < 60


def test_a_chain_joins_each_word_to_all_before_it():
    found = read_trees(torch.tensor([trees.chain([1, 2, 3, 4])]), trees.REDUCE, 4, None)
    assert [len(level) for level in found.levels] == [4, 1, 1, 1]


@pytest.mark.parametrize("whose", ["recur", "reservoirpy"])
def test_reservoirs_of_both_are_fitted(whose):
    seconds = measure("benchmarks.reservoir", whose, "20", "1300", core=LOAD)
    assert 0 < seconds < 60


class Sluggish:
    """Stands for the process of slow clients."""

    def __init__(self, said: str, *, ended: int | None = None) -> None:
        self.stdout = io.StringIO(said)
        self.ended = ended
        self.killed = False

    def __enter__(self) -> "Sluggish":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.killed

    def poll(self) -> int | None:
        return self.ended

    def kill(self) -> None:
        self.killed = True


def beside(monkeypatch: pytest.MonkeyPatch, process: Sluggish) -> list[Record]:
    latencies = iter([1e-3, 3e-3])
    monkeypatch.setattr(company, "recur_server", no_server)
    monkeypatch.setattr(company, "start", lambda *_, core: process)
    monkeypatch.setattr(company, "measure", lambda module, *_, core: next(latencies) if "paced" in module else 8000.0)
    return list(Beside(streams=64, sluggish=8, bar=2.0, rounds=1).records("p99"))


def test_a_load_beside_slow_clients_is_compared_with_the_same_load_alone(monkeypatch):
    process = Sluggish("ready\n")
    [record] = beside(monkeypatch, process)
    assert (record.value, record.reference, record.reference_value) == (3000.0, "alone", 1000.0)
    assert record.reached is False
    assert process.killed


@pytest.mark.parametrize(("said", "ended", "sentence"), [("", None, "did not begin"), ("ready\n", 1, "did not go on")])
def test_slow_clients_that_are_not_there_are_not_measured(monkeypatch, said, ended, sentence):
    with pytest.raises(Unmeasured, match=sentence):
        beside(monkeypatch, Sluggish(said, ended=ended))


def test_the_answer_after_a_flood_is_compared_with_the_seconds_allowed(monkeypatch):
    measured = stand_in(monkeypatch, company, {("benchmarks.flood", "RECUR"): 0.5})
    [record] = Flooded("resets", 20_000, allowed=1.0, rounds=2).records("resets")
    assert (record.value, record.unit, record.ratio, record.reached) == (0.5, "s", 0.5, True)
    assert measured.asked == [("benchmarks.flood", "RECUR", "resets", "20000")] * 2


def grow(monkeypatch: pytest.MonkeyPatch, sizes: list[int]) -> None:
    remaining = iter(sizes)
    monkeypatch.setattr(memory, "resident_bytes", lambda _: next(remaining))


def test_an_idle_sequence_costs_the_growth_after_the_first_portion(monkeypatch):
    measured = stand_in(monkeypatch, memory, {("benchmarks.flow", "RECUR", "idle"): 1.0})
    grow(monkeypatch, [MIB + 158 * 2000 * portion for portion in range(PORTIONS + 1)])
    monkeypatch.setattr(memory, "live", lambda _: 22_000)
    [record] = IdleBytes(sequences=20_000, allowance=300).records("idle")
    assert (record.value, record.reference_value, record.ratio, record.reached) == (158.0, 316.0, 0.5, True)
    sent = [(int(first), int(count)) for *_, first, count in measured.asked]
    assert sent == [(2 * portion, 2) for portion in range(PORTIONS + 1)]


def test_sequences_that_are_not_live_are_not_measured(monkeypatch):
    stand_in(monkeypatch, memory, {("benchmarks.flow",): 1.0})
    grow(monkeypatch, [MIB] * (PORTIONS + 1))
    monkeypatch.setattr(memory, "live", lambda _: 21_999)
    with pytest.raises(Unmeasured, match="22000 sequences were begun and 21999 are live"):
        list(IdleBytes(sequences=20_000, allowance=300).records("idle"))


def test_churn_is_the_growth_of_the_last_half_alone(monkeypatch):
    stand_in(monkeypatch, memory, {("benchmarks.flow", "RECUR", "churn"): 1.0})
    grow(monkeypatch, [MIB * portion for portion in (1, 3, 5, 7, 9)] + [9 * MIB] * 4 + [9 * MIB + 20_000])
    [record] = Churn(sequences=20_000, allowed=1.0).records("churn")
    assert (record.value, record.reached) == (2.0, False)


def test_live_sequences_are_read_from_the_metrics_page():
    page = '# TYPE recur_sequences gauge\nrecur_sequences{model="bench",version="1"} 1.1e+06\nrecur_state_bytes 3.0\n'
    assert memory.read_live(page) == 1_100_000
    with pytest.raises(Unmeasured, match="recur_sequences"):
        memory.read_live("")


def test_every_step_that_is_added_is_scheduled():
    assert seconds_a_step() > 0


def test_a_scheduler_is_shown_in_microseconds(monkeypatch):
    stand_in(monkeypatch, scheduling, {("benchmarks.scheduler",): 1.5e-6})
    [record] = Scheduling(allowed=3.0).records("scheduler_us")
    assert (record.value, record.ratio, record.reached) == (1.5, 0.5, True)


def test_resident_memory_is_that_of_the_process():
    with open(f"/proc/{os.getpid()}/statm") as file:
        pages = int(file.read().split()[1])
    assert resident_bytes(os.getpid()) == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.1)


class OneRecord:
    def records(self, work: str) -> Iterator[Record]:
        yield compare(work, [1.0], "us", "echo", [2.0])


class NoRecord:
    def records(self, work: str) -> Iterator[Record]:
        raise Unmeasured("the server does not serve it")


def test_a_work_that_cannot_be_done_is_a_line_and_the_others_go_on(monkeypatch, tmp_path: Path, capsys):
    monkeypatch.setattr(command, "WORKS", {"first": NoRecord(), "second": OneRecord()})
    monkeypatch.setattr(command, "OUTPUT", tmp_path / "bench.json")
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert command.main() == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[2] == "first                  not measured: the server does not serve it"
    assert printed[3].startswith("second")
    assert '"work": "second"' in (tmp_path / "bench.json").read_text()


def test_an_unknown_work_is_wrong_use_that_names_the_known():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--work", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert all(work in done.stderr for work in WORKS)


@pytest.mark.e2e
def test_the_load_s_processes_measure_the_echo():
    with echo_server() as address:
        assert measure("benchmarks.load", address, "unary", "4", "1", core=LOAD) > 0


@pytest.mark.e2e
def test_a_process_that_fails_gives_its_sentence_and_no_traceback():
    with pytest.raises(Unmeasured, match="sequence_status"), echo_server() as address:
        measure("benchmarks.load", address, "rows", "2", "8", core=LOAD)


def test_what_is_generated_is_compared_with_steps_of_the_engine_and_of_a_stream(monkeypatch, tmp_path):
    printed = {
        ("benchmarks.stepping", str(tmp_path)): 1000.0,
        ("benchmarks.writing", "RECUR", "64", "0", "16"): 900.0,
        ("benchmarks.writing", "RECUR", "64", "0", "1"): 300.0,
        ("benchmarks.writing", "RECUR", "64", "-1"): 600.0,
    }
    stand_in(monkeypatch, generation, printed)
    monkeypatch.setattr(generation, "repository_of", lambda _: nullcontext(tmp_path))
    records = list(generation.Generated(sequences=64, together=16, bar=0.8, rounds=1).records("generate"))
    assert [(record.reference, record.ratio, record.reached) for record in records] == [
        ("engine", 0.9, True),
        ("stepped", 1.5, None),
        ("one a step", 3.0, None),
    ]


def test_a_step_of_a_search_is_compared_with_one_that_is_drawn(monkeypatch):
    printed = {("benchmarks.writing", "RECUR", "16", "0"): 900.0, ("benchmarks.writing", "RECUR", "16", "4"): 300.0}
    stand_in(monkeypatch, generation, printed)
    [record] = generation.Searched(sequences=16, width=4, bar=4.5, rounds=1).records("beam")
    assert (record.reference, record.better, record.reached) == ("drawn", "lower", True)
    assert record.ratio == pytest.approx(3.0)


@pytest.mark.parametrize(("width", "together"), [(0, 1), (0, 16), (3, 1), (-1, 1)])
def test_sequences_write_search_and_step_for_real(width, together):
    with recur_server(writer()) as server:
        rate = asyncio.run(writing.drive(server.listen, 4, width, together, warm_seconds=0.05, seconds=0.2))
    assert rate > 0


def test_the_engine_steps_without_a_transport(monkeypatch):
    for name, value in {"WARM_SECONDS": 0.05, "SECONDS": 0.1}.items():
        monkeypatch.setattr(stepping, name, value)
    with repository_of(writer()) as repository:
        assert asyncio.run(stepping.steps_a_second(repository, 4)) > 0
