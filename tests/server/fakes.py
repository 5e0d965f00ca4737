"""Fakes for tests of the server: a clock moved by hand, a model that adds, chunks and their answers."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np

from models.errors import RowsInvalid
from models.manifest import GOLDEN, Graphs, Manifest, StateSpec, TensorSpec
from server.catalogue import Catalogue, ServedModel
from server.engine import Engine
from server.metrics import Metrics
from server.runtime import Runtime
from server.scheduler import Scheduler
from server.sessions import Sessions
from server.stores.memory import MemoryStore
from server.types import Answer, Chunk, ModelKey, SequenceId, SessionKey

ADDER = ModelKey("adder", 1)
REFUSED, BROKEN = -1.0, -2.0
SECRET = "the cause that stays in the log"
INITIAL = 100.0
PATIENCE_SECONDS = 10


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def manifest(key: ModelKey = ADDER, **changes) -> Manifest:
    """Describe the adder: `x [batch, time, 1]` to `y`, with a state of floats and one of integers."""
    fields = {
        "name": key.name,
        "version": key.version,
        "architecture": "adder",
        "kind": "step",
        "files": {"model.onnx": f"sha256:{'0' * 64}", GOLDEN: f"sha256:{'1' * 64}"},
        "graphs": Graphs(main="model.onnx"),
        "inputs": (TensorSpec("x", "FP32", ("time", 1)),),
        "outputs": (TensorSpec("y", "FP32", ("time", 1)),),
        "lengths": "lengths",
        "states": (
            StateSpec("state.sum", "next_state.sum", "FP32", (1,)),
            StateSpec("state.steps", "next_state.steps", "FP32", (1,)),
        ),
        "golden_source": "torch",
        "tolerance": 1e-5,
    }
    return Manifest(**(fields | changes))


class Adder:
    """A runner in NumPy: `y` is the sum so far, zeros after a row's length; some values it refuses or breaks on."""

    def __init__(self, described: Manifest) -> None:
        self.manifest = described
        self.rows: list[int] = []
        self.threads: list[str] = []

    def run(self, inputs, lengths, states):
        x = inputs["x"]
        self.rows.append(len(x))
        self.threads.append(threading.current_thread().name)
        if (x == REFUSED).any():
            raise RowsInvalid(SECRET)
        if (x == BROKEN).any():
            raise RuntimeError(SECRET)
        within = (np.arange(x.shape[1]) < lengths[:, None])[..., None]
        with np.errstate(over="ignore", invalid="ignore"):
            sums = states["state.sum"][:, None] + np.cumsum(np.where(within, x, np.float32(0)), axis=1)
        steps = states["state.steps"] + lengths[:, None].astype(np.float32)
        outputs = {"y": np.where(within, sums, np.float32(0)).astype(np.float32)}
        # Names pair states: the order is not the manifest's.
        return outputs, {"state.steps": steps, "state.sum": sums[:, -1].astype(np.float32)}


def session_key(sequence_id: SequenceId, model: str = ADDER.name) -> SessionKey:
    return SessionKey("", model, sequence_id)


def chunk(
    *rows: Sequence[float],
    key: SessionKey | None = None,
    model: ModelKey = ADDER,
    start: bool = False,
    end: bool = False,
    arrived: float = 0.0,
    deadline: float = math.inf,
    done=lambda result: None,
) -> Chunk:
    """Ask for the steps of each row, padded to the longest row with what must never be read."""
    time = max(len(row) for row in rows)
    x = np.full((len(rows), time, 1), 7e7, np.float32)
    for number, row in enumerate(rows):
        x[number, : len(row), 0] = row
    lengths = [len(row) for row in rows]
    return Chunk(model, key, {"x": x}, lengths, time, start, end, done, arrived, deadline)


class Server:
    """Scheduler, engine and sessions put together over adders, with a hand clock."""

    def __init__(self, *, max_batch: int = 8, capacity: int = 8, idle_seconds: float = 60.0) -> None:
        self.clock = Clock()
        self.capacity = capacity
        self.catalogue = Catalogue()
        self.metrics = Metrics()
        self.scheduler = Scheduler(max_batch=max_batch)
        self.engine = Engine(self.scheduler, self.catalogue, self.metrics, clock=self.clock)
        self.sessions = Sessions(self.engine, self.catalogue, self.metrics, idle_seconds=idle_seconds, clock=self.clock)
        self.runner = self.publish()

    def publish(self, key: ModelKey = ADDER, **changes) -> Adder:
        """Let another adder serve, whose sums begin at 100 times its version."""
        runner = Adder(manifest(key, **changes))
        initial = {
            "state.sum": np.array([INITIAL * key.version], np.float32),
            "state.steps": np.zeros(1, np.float32),
        }
        store = MemoryStore(initial, capacity=self.capacity)
        self.catalogue.add(ServedModel(key, runner.manifest, Runtime(runner, store), store))
        return runner

    def ask(self, *rows: Sequence[float], sequence: SequenceId | None = None, version: str = "", **options):
        """Route and queue a chunk as a request would; the future holds its answer or its error."""
        return self.submit(*rows, sequence=sequence, version=version, **options)[1]

    def submit(self, *rows: Sequence[float], sequence: SequenceId | None = None, version: str = "", **options):
        """Ask, and give the chunk too."""
        future = asyncio.get_running_loop().create_future()
        key = None if sequence is None else session_key(sequence)
        model = self.sessions.route(ADDER.name, version, key, start=options.get("start", False))
        asked = chunk(*rows, key=key, model=model.key, arrived=self.clock(), done=future.set_result, **options)
        self.sessions.submit(asked)
        return asked, future

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.engine.run(self.sessions))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), task

    def live(self, key: ModelKey = ADDER) -> int:
        return self.catalogue[key].store.live


async def result(future):
    """Wait for an answer or an error."""
    return await asyncio.wait_for(future, PATIENCE_SECONDS)


async def sums(future) -> list[list[float]]:
    """Wait for an answer; its `y`, row by row."""
    answer = await result(future)
    assert isinstance(answer, Answer), answer
    return answer.outputs["y"][..., 0].tolist()
