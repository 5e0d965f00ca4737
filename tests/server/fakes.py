"""Fakes for tests of the server: a clock moved by hand, a model that adds, chunks and their answers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np

from models.errors import RowsInvalid
from models.manifest import GOLDEN, Graphs, Manifest, StateSpec, TensorSpec
from server.catalogue import Catalogue, ServedModel
from server.digest import life_of
from server.engine import Engine
from server.limits import Limits, Totals
from server.metrics import Metrics
from server.room import Room
from server.runtime import Runtime
from server.scheduler import Scheduler
from server.sessions import Sessions
from server.signature import Signature
from server.stores.memory import MemoryStore
from server.types import UNNUMBERED, Answer, Chunk, ModelKey, Scope, SequenceId

ADDER = ModelKey("adder", 1)
SCOPE = Scope("", ADDER.name)
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


def signature(described: Manifest) -> Signature:
    """Give the tensors that a request for such a model carries."""
    return Signature(described.inputs, described.outputs, ragged=described.lengths is not None)


class Adder:
    """A runner in NumPy: `y` is the sum so far, zeros after a row's length; some values it refuses or breaks on."""

    def __init__(self, described: Manifest) -> None:
        self.manifest = described
        self.start_inputs = self.peek_inputs = self.peek_outputs = ()
        self.peek_ragged = False
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


def chunk(
    *rows: Sequence[float],
    ids: Sequence[SequenceId] = (),
    model: ModelKey = ADDER,
    scope: Scope | None = None,
    start: bool | Sequence[bool] = False,
    end: bool | Sequence[bool] = False,
    step: int | Sequence[int] = UNNUMBERED,
    incarnation: str = "",
    done=lambda chunk, answer: None,
    **fields,
) -> Chunk:
    """Ask for the steps of each row, padded to the longest row with what must never be read."""
    time = max(len(row) for row in rows)
    x = np.full((len(rows), time, 1), 7e7, np.float32)
    for number, row in enumerate(rows):
        x[number, : len(row), 0] = row
    starts = column(start, len(rows), np.bool_)
    return Chunk(
        **{
            "model": model,
            "scope": scope or Scope("", model.name),
            "ids": ids,
            "inputs": {"x": x},
            "lengths": np.array([len(row) for row in rows]),
            "time": time,
            "size": time.bit_length(),
            "start": starts,
            "starts": bool(starts.any()),
            "end": column(end, len(rows), np.bool_),
            "steps": column(step, len(rows), np.int64),
            "lives": column(life_of(incarnation), len(rows), np.uint64),
            "done": done,
        }
        | fields
    )


def column(value, rows: int, dtype) -> np.ndarray:
    """Give one value to every row, or each its own."""
    return np.array(np.broadcast_to(np.asarray(value, dtype), (rows,)))


def adder(key: ModelKey, *, capacity: int, **changes) -> ServedModel:
    """Put an adder and a store together, whose sums begin at 100 times its version."""
    runner = Adder(manifest(key, **changes))
    initial = {"state.sum": np.array([INITIAL * key.version], np.float32), "state.steps": np.zeros(1, np.float32)}
    store = MemoryStore(initial, runner.manifest.outputs, capacity=capacity)
    return ServedModel(key, runner.manifest, Runtime(runner, store), store)


class Server:
    """Scheduler, engine and sessions put together over adders, with a hand clock."""

    def __init__(self, *, totals: Totals | None = None, capacity: int = 8, **limits) -> None:
        self.clock = Clock()
        self.capacity = capacity
        self.limits: Callable[[str], Limits] = lambda name: Limits(
            **({"max_batch": 8, "max_sequences": capacity, "idle_seconds": 60.0} | limits)
        )
        self.catalogue = Catalogue()
        self.metrics = Metrics()
        self.scheduler = Scheduler(self.limits)
        self.engine = Engine(self.scheduler, self.catalogue, self.metrics, clock=self.clock)
        self.room = Room(self.catalogue, self.limits, totals or Totals())
        self.sessions = Sessions(self.engine, self.catalogue, self.metrics, self.room, clock=self.clock)
        self.runner = self.publish()

    def publish(self, key: ModelKey = ADDER, **changes) -> Adder:
        """Let another adder serve."""
        model = adder(key, capacity=self.capacity, **changes)
        self.catalogue.add(model)
        return model.runtime._runner

    def ask(self, *rows: Sequence[float], sequence: SequenceId | None = None, version: str = "", **options):
        """Route and queue a chunk as a request would; the future holds its answer or its first error."""
        return self.submit(*rows, sequence=sequence, version=version, **options)[1]

    def submit(
        self,
        *rows: Sequence[float],
        sequence: SequenceId | None = None,
        version: str = "",
        name: str = ADDER.name,
        **options,
    ):
        """Ask, and give the chunk too."""
        future = asyncio.get_running_loop().create_future()
        start, numbered = options.get("start", False), "step" in options
        scope = Scope("", name)
        model = self.sessions.route(name, version, scope, sequence, start=start, numbered=numbered)
        ids = () if sequence is None else (sequence,)
        options = {"arrived": self.clock()} | options
        asked = chunk(*rows, ids=ids, model=model.key, scope=scope, done=answering(future), **options)
        self.sessions.submit(asked)
        return asked, future

    def ask_many(self, ids: Sequence[SequenceId], *rows: Sequence[float], **options):
        """Queue one chunk of rows for many sequences; the future holds its answer, errors by row and all."""
        future = asyncio.get_running_loop().create_future()
        options = {"arrived": self.clock(), "done": lambda chunk, answer: future.set_result(answer)} | options
        self.sessions.submit(chunk(*rows, ids=ids, **options))
        return future

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task]:
        task = asyncio.create_task(self.engine.run(self.sessions))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), task

    def live(self, key: ModelKey = ADDER) -> int:
        return self.catalogue[key].store.live


def answering(future):
    """Give a chunk's `done` that answers as a request for one sequence does: the first error is the request's."""

    def done(_, answer):
        assert not future.done(), "answered twice"
        future.set_result(next(iter(answer.errors.values())) if answer.errors else answer)

    return done


async def result(future):
    """Wait for an answer or an error."""
    return await asyncio.wait_for(future, PATIENCE_SECONDS)


async def sums(future) -> list[list[float]]:
    """Wait for an answer; its `y`, row by row."""
    answer = await result(future)
    assert isinstance(answer, Answer), answer
    return answer.outputs["y"][..., 0].tolist()


def position(answer: Answer) -> int:
    """Steps that the sequence of a request for one has had."""
    return answer.positions.item(0)
