"""The engine alone: sequences that go on and on, nothing drawn, nothing written, nothing sent.

`python -m benchmarks.stepping REPOSITORY SEQUENCES` prints steps a second of the benchmark's model.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import final

import msgspec
import numpy as np
import uvloop

from benchmarks.requests import MODEL
from benchmarks.writer import INPUT
from server.app import App
from server.columns import constant, no_flags, no_words
from server.settings import read_settings
from server.types import UNNUMBERED, Answer, Chunk, ModelKey, Scope

WARM_SECONDS, SECONDS = 0.5, 2.0


@final
class Stepping:
    """Sequences of one step after another, each begun as soon as the last is done."""

    def __init__(self, sequences: int) -> None:
        self.steps = 0
        self.goes_on = True
        self._chunks = [self._chunk(number) for number in range(1, sequences + 1)]

    def begin(self, app: App) -> None:
        """Queue the first step of every sequence."""
        for chunk in self._chunks:
            app.sessions.submit(chunk)

    def _chunk(self, sequence: int) -> Chunk:
        return Chunk(
            model=ModelKey(MODEL, 1),
            scope=Scope("", MODEL),
            ids=(sequence,),
            inputs={INPUT: np.array([[sequence % 7]], np.int64)},
            lengths=constant(1, 1),
            time=1,
            start=np.ones(1, np.bool_),
            starts=True,
            end=no_flags(1),
            steps=constant(UNNUMBERED, 1),
            lives=no_words(1),
            done=self._done,
        )

    def _done(self, chunk: Chunk, answer: Answer) -> Chunk | None:
        if answer.errors:
            raise RuntimeError(next(iter(answer.errors.values())).text())
        self.steps += 1
        if not self.goes_on:
            return None
        return msgspec.structs.replace(chunk, start=no_flags(1), starts=False, plain=True)


async def steps_a_second(repository: Path, sequences: int) -> float:
    """Let the engine run, and count."""
    app = App(read_settings(["--repository", str(repository)], {}))
    await app.loader.poll()
    work, stepping = asyncio.create_task(app.engine.run(app.sessions)), Stepping(sequences)
    stepping.begin(app)
    await asyncio.sleep(WARM_SECONDS)
    before, began = stepping.steps, time.perf_counter()
    await asyncio.sleep(SECONDS)
    rate = (stepping.steps - before) / (time.perf_counter() - began)
    stepping.goes_on = False
    await app.engine.finished()
    work.cancel()
    return rate


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(f"{runner.run(steps_a_second(Path(sys.argv[1]), int(sys.argv[2])))}\n")
