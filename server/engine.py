"""Loops: takes what the scheduler chose, runs it off the event loop, answers each chunk."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import final

from models.errors import RowsInvalid
from server.answers import Piece, answers, refused
from server.assembly import assemble
from server.catalogue import Catalogue, ServedModel
from server.cohorts import together
from server.errors import Internal, ModelRefused, NotFinite, QueueTimeout, RecurError, StateFull
from server.metrics import Metrics
from server.runtime import Runtime
from server.scheduler import Scheduler
from server.turn import Turn, Turns
from server.types import Answer, Batch, BatchResult, Chunk, ModelKey, Scope, SequenceId, Slots

# To hand a batch to a thread and back takes longer than this; the event loop waits for a shorter run itself.
SHORT_RUN_SECONDS = 1e-3
FAILED = "the run failed; the server's log has the cause"
NOT_FINITE = "the inputs make an output or the next state infinite or NaN"

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
        self._idle = True
        self._resting: asyncio.Future[None] | None = None
        self._in_flight: ModelKey | None = None

    def submit(self, chunk: Chunk) -> None:
        """Queue a chunk; its `done` is called once for each of its rows, unless it is cancelled first.

        Raises:
            QueueFull: too many wait; nothing was queued.
        """
        self._scheduler.add(chunk)
        if self._idle:
            self._idle = False
            self._work.set()
        if chunk.deadline < math.inf:
            loop = asyncio.get_running_loop()
            chunk.timer = loop.call_later(chunk.deadline - self._clock(), self._give_up, chunk)

    def cancel(self, chunk: Chunk) -> list[Chunk]:
        """Drop a chunk that nobody waits for, if it has not begun; returns what of it waited."""
        if chunk.timer is not None:
            chunk.timer.cancel()
        dropped = self._scheduler.cancel(chunk)
        # What was behind it may be all that there is to do.
        self._work.set()
        return dropped

    def abandon(self, scope: Scope, sequence: SequenceId, error: RecurError) -> None:
        """Refuse what is held of a sequence until its client has read."""
        if (chunk := self._scheduler.drop(scope, sequence)) is not None:
            self._work.set()
            chunk.done(chunk, refused(chunk, error))

    def resume(self, chunk: Chunk) -> None:
        """Let a chunk go on that was held."""
        self._scheduler.resume(chunk)
        self._idle = False
        self._work.set()

    def holds(self, scope: Scope, sequence: SequenceId) -> bool:
        """Whether a chunk of the sequence waits or is in flight."""
        return self._scheduler.holds(scope, sequence)

    def crowded(self, model: str) -> bool:
        """Whether half of the places in the queue are taken."""
        return self._scheduler.crowded(model)

    def queue_age(self, model: str) -> float:
        """How long the oldest of a model's requests waits, in seconds; 0 where none does."""
        oldest = self._scheduler.oldest(model)
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest)

    def needs(self, model: ModelKey) -> bool:
        """Whether a chunk of the version waits or is in flight."""
        return self._in_flight == model or self._scheduler.needs(model)

    def starting(self, scope: Scope, sequence: SequenceId) -> ModelKey | None:
        """The version on which a start that is queued or in flight begins the sequence."""
        return self._scheduler.starting(scope, sequence)

    async def run(self, turns: Turns) -> None:
        """Serve until cancelled."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="runtime") as executor:
            while True:
                await self._work.wait()
                await self._arrivals()
                schedule = self._scheduler.schedule(self._clock())
                for chunk in schedule.overdue:
                    _time_out(chunk)
                if schedule.chunks:
                    await self._serve(schedule.chunks, turns, executor)
                else:
                    self._idle = True
                    if self._resting is not None and not self._resting.done():
                        self._resting.set_result(None)
                    self._work.clear()
                    self._wake_at(schedule.again)

    async def finished(self) -> None:
        """Wait until no chunk waits or is in flight."""
        while not self._idle or len(self._scheduler):
            self._resting = asyncio.get_running_loop().create_future()
            await self._resting

    async def _arrivals(self) -> None:
        """Let the requests that have come in already be read, so that they join the batch."""
        waiting = 0
        while waiting < len(self._scheduler):
            waiting = len(self._scheduler)
            await asyncio.sleep(0)

    def _wake_at(self, moment: float) -> None:
        if moment < math.inf:
            asyncio.get_running_loop().call_later(moment - self._clock(), self._work.set)

    def _give_up(self, chunk: Chunk) -> None:
        for waiting in self._scheduler.cancel(chunk):
            _time_out(waiting)
        self._work.set()

    async def _serve(self, chunks: list[Chunk], turns: Turns, executor: Executor) -> None:
        """Begin the chunks' turn, run its rows, commit it and answer it."""
        began, self._in_flight = self._clock(), chunks[0].model
        metrics = self._metrics.of(chunks[0].model)
        metrics.queued([began - chunk.arrived for chunk in chunks])
        followers: list[Chunk] = []
        for chunk in chunks:
            if chunk.timer is not None:
                chunk.timer.cancel()
        try:
            followers = await self._take_turn(chunks, turns, executor)
        finally:
            self._in_flight = None
            self._scheduler.finish(chunks, self._clock() - began, followers)

    async def _take_turn(self, chunks: list[Chunk], turns: Turns, executor: Executor) -> list[Chunk]:
        """Run the rows of chunks, commit and answer them; gives the chunks that go on."""
        told: Iterable[tuple[Chunk, Answer]]
        try:
            model = self._catalogue[chunks[0].model]
            turn = turns.begin(chunks)
        except Exception:  # whatever is wrong with some requests, they are answered and the loop goes on
            logger.exception("turn failed")
            told = [(chunk, refused(chunk, Internal(FAILED))) for chunk in chunks]
        else:
            rows = turn.running()
            pieces = await self._run(model, turn, rows, executor) if len(rows) else []
            turns.commit(turn)
            self._metrics.of(model.key).judged(len(turn.replays), turn.errors.values())
            told = answers(model.runtime.signatures[turn.part], turn, pieces)
        followers = [follower for chunk, answer in told if (follower := _answered(chunk, answer)) is not None]
        return list(together(followers, self._scheduler.limits(chunks[0].model.name).max_batch))

    async def _run(self, model: ServedModel, turn: Turn, rows: Slots, executor: Executor) -> list[Piece]:
        """Run rows together; where the graph refuses them, the halves apart: no row pays for another's values."""
        try:
            batch = assemble(model.runtime.signatures[turn.part], turn, rows)
            result = await self._compute(model.runtime, batch, executor)
        except Exception as error:  # noqa: BLE001  whatever a run raises, its rows are answered and the loop goes on
            if len(rows) == 1:
                turn.fail(rows.item(0), _refusal(error))
                return []
            half = len(rows) // 2
            return [
                *await self._run(model, turn, rows[:half], executor),
                *await self._run(model, turn, rows[half:], executor),
            ]
        if result.finite is not None:
            for row in rows[~result.finite].tolist():
                turn.fail(row, NotFinite(model.manifest.refuses or NOT_FINITE))
        if result.full is not None:
            for row in rows[result.full].tolist():
                turn.fail(
                    row, StateFull("the sequence's state would grow past the bytes that may be held; try again later")
                )
        self._metrics.of(model.key).ran(
            rows=len(rows),
            most=self._scheduler.limits(model.key.name).max_batch,
            time_=max(1, batch.time),
            steps=len(rows) if batch.time == 1 else int(batch.lengths.sum()),
            seconds=result.seconds,
        )
        return [Piece(rows, result.outputs, result.sizes)]

    async def _compute(self, runtime: Runtime, batch: Batch, executor: Executor) -> BatchResult:
        if runtime.expected_seconds(batch) < SHORT_RUN_SECONDS:
            return runtime.run(batch)
        return await asyncio.get_running_loop().run_in_executor(executor, runtime.run, batch)


def _answered(chunk: Chunk, answer: Answer) -> Chunk | None:
    """Hand on an answer; whatever goes wrong with one, the others are answered and the loop goes on."""
    try:
        return chunk.done(chunk, answer)
    except Exception:
        logger.exception("answer failed")
        return None


def _time_out(chunk: Chunk) -> None:
    error = QueueTimeout("the request waited longer than its timeout allows; nothing was run")
    chunk.done(chunk, refused(chunk, error))


def _refusal(error: Exception) -> RecurError:
    if isinstance(error, RowsInvalid):
        return ModelRefused("the model's graph cannot run on these values; an index outside its table is one cause")
    logger.error("run failed", exc_info=error)
    return Internal(FAILED)
