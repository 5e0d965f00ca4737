"""Triton, through nvidia-pytriton: KServe's unary calls over gRPC, batched by Triton, run by this process.

`GRAPH=… HIDDEN=… FEATURES=… python triton_server.py` prints its address once it serves. A row's sequence is an input.
"""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from table import FEATURES, HOST, Table, free_ports, say

MODEL, MOST = "bench", 256


def main() -> None:
    """Serve until the process is told to end."""
    table, (http, grpc) = Table(), free_ports(2)

    @batch
    def infer(x: np.ndarray, sequence_id: np.ndarray) -> dict[str, np.ndarray]:
        return {"y": table.step(sequence_id.ravel().tolist(), x)}

    config = TritonConfig(http_address=HOST, http_port=http, grpc_address=HOST, grpc_port=grpc, allow_metrics=False)
    with TemporaryDirectory() as folder, Triton(config=config, workspace=Path(folder, "models")) as triton:
        triton.bind(
            model_name=MODEL,
            infer_func=infer,
            inputs=[
                Tensor(name="x", dtype=np.float32, shape=(1, FEATURES)),
                Tensor(name="sequence_id", dtype=np.int64, shape=(1,)),
            ],
            outputs=[Tensor(name="y", dtype=np.float32, shape=(1, FEATURES))],
            config=ModelConfig(max_batch_size=MOST, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
        )
        triton.run()
        say(grpc)
        threading.Event().wait()


if __name__ == "__main__":
    main()
