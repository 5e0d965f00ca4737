"""mosec: HTTP in Rust, batches run by one worker process; a body is the sequence's id and its step's bytes.

`GRAPH=… HIDDEN=… FEATURES=… python mosec_server.py` prints its address when it begins.
"""

import sys
from collections.abc import Sequence

import numpy as np
from mosec import Server, Worker
from table import FEATURES, HOST, Table, free_ports, say

MOST, WAIT_MILLISECONDS = 256, 1


class Step(Worker):
    """Runs the requests that have come."""

    def __init__(self) -> None:
        self._table = Table()

    def deserialize(self, data: bytes) -> bytes:
        """Leave a body to the batch."""
        return data

    def serialize(self, data: bytes) -> bytes:
        """Answer with the output's bytes."""
        return data

    def forward(self, data: Sequence[bytes]) -> list[bytes]:
        """Run a batch."""
        rows = np.frombuffer(b"".join(data), np.uint8).reshape(len(data), -1)
        sequences = np.ascontiguousarray(rows[:, :8]).view(np.int64).ravel().tolist()
        x = np.ascontiguousarray(rows[:, 8:]).view(np.float32).reshape(len(data), 1, FEATURES)
        return [row.tobytes() for row in self._table.step(sequences, x)]


if __name__ == "__main__":
    [port] = free_ports(1)
    sys.argv[1:] = ["--address", HOST, "--port", str(port), "--log-level", "error"]
    server = Server()
    server.append_worker(Step, num=1, max_batch_size=MOST, max_wait_time=WAIT_MILLISECONDS)
    say(port)
    server.run()
