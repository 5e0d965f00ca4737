"""What each peer's server does for a batch: the states of its rows looked up, one run, the next states kept.

It is the shortest that answers right: no sequence is ever refused, replayed, evicted or told apart from another's.
"""

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

# What a worker process of a peer that begins anew reads too: the graph's path and its sizes.
GRAPH, HIDDEN, FEATURES = os.environ["GRAPH"], int(os.environ["HIDDEN"]), int(os.environ["FEATURES"])
STATES, HOST = ("h", "c"), "127.0.0.1"


class Table:
    """States by sequence, in process memory."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(GRAPH, options, providers=["CPUExecutionProvider"])
        self._names = ["y", *(f"next_state.{name}" for name in STATES)]
        self._kept: dict[int, list[NDArray[np.float32]]] = {}
        self._initial = [np.zeros(HIDDEN, np.float32) for _ in STATES]

    def step(self, sequences: Sequence[int], x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Advance sequences by a step, `x [rows, 1, features]`; gives what they are answered, alike."""
        rows = [self._kept.get(sequence, self._initial) for sequence in sequences]
        fed = {f"state.{name}": np.stack([row[at] for row in rows]) for at, name in enumerate(STATES)}
        y: NDArray[np.float32]
        y, *states = self._session.run(self._names, {"x": x, "lengths": np.ones(len(x), np.int64), **fed})
        for sequence, *row in zip(sequences, *states, strict=True):
            self._kept[sequence] = row
        return y


def free_ports(count: int) -> list[int]:
    """Ask the system for ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def say(port: int) -> None:
    """Say where the server is to be."""
    sys.stdout.write(f"{HOST}:{port}\n")
    sys.stdout.flush()
