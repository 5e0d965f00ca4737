"""Loops: takes what the scheduler chose, runs it off the event loop, answers each chunk."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import final

import numpy as np

from models.errors import RowsInvalid
from server.catalogue import Catalogue, ServedModel
from server.errors import Internal, ModelRefused, NotFinite, QueueTimeout, RecurError
from server.metrics import Metrics
from server.scheduler import Scheduler
from server.types import Answer, Array, Batch, BatchResult, Chunk, ModelKey, SessionKey, Turn, Turns

# To hand a batch to a thread and back takes longer than this; the event loop waits for a shorter run itself.
SHORT_RUN_SECONDS = 500e-6

logger = logging.getLogger(__name__)


@final
class Engine:
    """One batch in flight at a time, of whatever is ready when the last one is done."""

    def __init__(
        self,
        scheduler: Scheduler,
        catalogue: Catalogue,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scheduler = scheduler
        self._catalogue = catalogue
        self._metrics = metrics
        self._clock = clock
        self._work = asyncio.Event()

    def submit(self, chunk: Chunk) -> None:
        """Queue a chunk; its `done` is called once, with the answer or the error, unless it is cancelled first."""
        self._scheduler.add(chunk)
        self._work.set()

    def cancel(self, chunk: Chunk) -> None:
        """Drop a chunk that nobody waits for, if it has not begun."""
        self._scheduler.cancel(chunk)

    def holds(self, key: SessionKey) -> bool:
        """Whether a chunk of the sequence waits or is in flight."""
        return self._scheduler.holds(key)

    def starting(self, key: SessionKey) -> ModelKey | None:
        """The version on which a start that is queued or in flight begins the sequence."""
        return self._scheduler.starting(key)

    async def run(self, turns: Turns) -> None:
        """Serve until cancelled."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="runtime") as executor:
            while True:
                await self._work.wait()
                await self._arrivals()
                schedule = self._scheduler.schedule(self._clock())
                for chunk in schedule.overdue:
                    chunk.done(QueueTimeout("the request waited longer than its timeout allows; nothing was run"))
                if schedule.chunks:
                    await self._run_chunks(schedule.chunks, turns, executor)
                else:
                    self._work.clear()

    async def _arrivals(self) -> None:
        """Let the requests that have come in already be read, so that they join the batch."""
        waiting = 0
        while waiting < len(self._scheduler):
            waiting = len(self._scheduler)
            await asyncio.sleep(0)

    async def _run_chunks(self, chunks: list[Chunk], turns: Turns, executor: Executor) -> None:
        now = self._clock()
        self._metrics.of(chunks[0].model).queued([now - chunk.arrived for chunk in chunks])
        begun = [turn for chunk in chunks if (turn := _begin(chunk, turns))]
        try:
            if begun:
                await self._run_turns(self._catalogue[chunks[0].model], begun, turns, executor)
        finally:
            self._scheduler.finish(chunks)

    async def _run_turns(self, model: ServedModel, begun: list[Turn], turns: Turns, executor: Executor) -> None:
        try:
            result = await self._compute(model, begun, executor)
        except Exception as error:  # noqa: BLE001  whatever a run raises, its chunks are answered and the loop goes on
            if len(begun) > 1:
                # One chunk's values may be what the graph cannot run on; its neighbours must not pay for it.
                for turn in begun:
                    await self._run_turns(model, [turn], turns, executor)
                return
            self._fail(begun[0], turns, _refusal(error))
            return
        self._metrics.of(model.key).ran(
            rows=sum(turn.chunk.rows for turn in begun),
            time_=max(turn.chunk.time for turn in begun),
            steps=sum(sum(turn.chunk.lengths) for turn in begun),
            seconds=result.seconds,
        )
        self._answer(begun, result, turns)

    async def _compute(self, model: ServedModel, begun: list[Turn], executor: Executor) -> BatchResult:
        batch = assemble(model, begun)
        if model.runtime.expected_seconds(batch) < SHORT_RUN_SECONDS:
            return model.runtime.run(batch)
        return await asyncio.get_running_loop().run_in_executor(executor, model.runtime.run, batch)

    def _answer(self, begun: Sequence[Turn], result: BatchResult, turns: Turns) -> None:
        stop = 0
        for turn in begun:
            chunk, start = turn.chunk, stop
            stop += chunk.rows
            if result.finite is not None and not result.finite[start:stop].all():
                self._fail(turn, turns, NotFinite("the inputs make an output or the next state infinite or NaN"))
                continue
            outputs = {name: array[start:stop, : chunk.time] for name, array in result.outputs.items()}
            chunk.done(Answer(outputs, turns.commit(turn)))

    def _fail(self, turn: Turn, turns: Turns, error: RecurError) -> None:
        turns.abort(turn)
        turn.chunk.done(error)


def assemble(model: ServedModel, turns: Sequence[Turn]) -> Batch:
    """Put the rows of all turns together, each chunk padded with zeros to the longest."""
    time_ = max(turn.chunk.time for turn in turns)
    return Batch(
        slots=np.array([slot for turn in turns for slot in turn.slots], np.intp),
        fresh=np.array([turn.fresh for turn in turns for _ in turn.slots], np.bool_),
        inputs={
            tensor.name: _stack([turn.chunk.inputs[tensor.name] for turn in turns], time_)
            for tensor in model.manifest.inputs
        },
        lengths=np.array([length for turn in turns for length in turn.chunk.lengths], np.int64),
    )


def _begin(chunk: Chunk, turns: Turns) -> Turn | None:
    try:
        return turns.begin(chunk)
    except RecurError as error:
        chunk.done(error)
        return None


def _stack(arrays: Sequence[Array], time_: int) -> Array:
    """Concatenate `[rows, time, …]` over rows, padded with zeros to one time."""
    if all(array.shape[1] == time_ for array in arrays):
        return np.concatenate(arrays)
    rows = sum(len(array) for array in arrays)
    stacked = np.zeros((rows, time_, *arrays[0].shape[2:]), arrays[0].dtype)
    row = 0
    for array in arrays:
        stacked[row : row + len(array), : array.shape[1]] = array
        row += len(array)
    return stacked


def _refusal(error: Exception) -> RecurError:
    if isinstance(error, RowsInvalid):
        return ModelRefused("the model's graph cannot run on these values; an index outside its table is one cause")
    logger.error("run failed", exc_info=error)
    return Internal("the run failed; the server's log has the cause")
