"""LitServe: FastAPI and uvicorn, batches run by one worker process; JSON, as its clients send.

`GRAPH=… HIDDEN=… FEATURES=… python litserve_server.py` prints its address when it begins.
"""

from collections.abc import Sequence
from typing import Any

import litserve
import numpy as np
from table import FEATURES, HOST, Table, free_ports, say

MOST, WAIT_SECONDS = 256, 0.001


class Step(litserve.LitAPI):
    """Runs the requests that have come."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self._table = Table()

    def decode_request(self, request: dict[str, Any]) -> tuple[int, list[float]]:
        """Read a sequence and its step."""
        return request["sequence"], request["x"]

    def batch(self, inputs: Sequence[tuple[int, list[float]]]) -> Sequence[tuple[int, list[float]]]:
        """Leave the rows as they are."""
        return inputs

    def predict(self, inputs: Sequence[tuple[int, list[float]]]) -> list[list[float]]:
        """Run a batch."""
        x = np.array([x for _, x in inputs], np.float32).reshape(len(inputs), 1, FEATURES)
        answers: list[list[float]] = self._table.step([sequence for sequence, _ in inputs], x)[:, 0].tolist()
        return answers

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        """Give each request its row."""
        return output

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        """Answer with the output's values."""
        return {"y": output}


if __name__ == "__main__":
    [port] = free_ports(1)
    api = Step(max_batch_size=MOST, batch_timeout=WAIT_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    say(port)
    server.run(host=HOST, port=port, num_api_servers=1, log_level="error", generate_client_file=False)
