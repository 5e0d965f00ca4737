"""The reference for compute: ONNX Runtime alone on the same graph, one thread, nothing around it.

`python -m benchmarks.alone GRAPH ROWS STEPS` prints steps a second.
"""

import sys
import time

import numpy as np
import onnxruntime as ort

from benchmarks.requests import FEATURES, HIDDEN

SECONDS = 1.0
NAMES = ("y", "next_state.h", "next_state.c")


def rate(graph: str, rows: int, steps: int) -> float:
    """Run batches `[rows, steps, features]` for a second; give rows times steps a second."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    feeds = {
        "x": np.random.default_rng(0).standard_normal((rows, steps, FEATURES)).astype(np.float32),
        "lengths": np.full(rows, steps, np.int64),
        "state.h": np.zeros((rows, HIDDEN), np.float32),
        "state.c": np.zeros((rows, HIDDEN), np.float32),
    }
    for _ in range(20):
        session.run(NAMES, feeds)
    runs, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < SECONDS:
        session.run(NAMES, feeds)
        runs += 1
    return runs * rows * steps / spent


if __name__ == "__main__":
    sys.stdout.write(f"{rate(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))}\n")
