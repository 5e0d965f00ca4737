"""The scheduler alone: steps that are all ready are added, scheduled until none is left, and finished.

`python -m benchmarks.scheduler` prints seconds of CPU a step.
"""

import gc
import sys
import time

import numpy as np

from server.app import COLLECT_AFTER
from server.limits import Limits
from server.scheduler import Scheduler
from server.types import UNNUMBERED, Chunk, ModelKey, Scope

STEPS = 10_000
MODEL, SCOPE = ModelKey("bench", 1), Scope("", "bench")
LIMITS = Limits(max_queue=STEPS)
NO, UNCOUNTED, NO_LIFE, ONE_STEP = (
    np.zeros(1, np.bool_),
    np.full(1, UNNUMBERED),
    np.zeros(1, np.uint64),
    np.ones(1, np.int64),
)


def seconds_a_step() -> float:
    """Schedule all steps once."""
    scheduler, chunks = Scheduler(lambda _: LIMITS), [_chunk(sequence) for sequence in range(1, STEPS + 1)]
    began, scheduled = time.process_time(), 0
    for chunk in chunks:
        scheduler.add(chunk)
    while batch := scheduler.schedule(0.0).chunks:
        scheduler.finish(batch)
        scheduled += len(batch)
    if scheduled != STEPS:
        raise RuntimeError(f"{STEPS} steps were added and {scheduled} scheduled")
    return (time.process_time() - began) / STEPS


def _chunk(sequence: int) -> Chunk:
    return Chunk(
        model=MODEL,
        scope=SCOPE,
        ids=[sequence],
        inputs={},
        lengths=ONE_STEP,
        time=1,
        start=NO,
        end=NO,
        steps=UNCOUNTED,
        lives=NO_LIFE,
        done=lambda *_: None,
    )


if __name__ == "__main__":
    seconds_a_step()  # warm
    # As the server has it: else one step in so many pays for a walk over all modules that were imported.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    sys.stdout.write(f"{seconds_a_step()}\n")
