"""The load of generation: sequences on one stream, each asked to go on when it has written enough.

`python -m benchmarks.writing ADDRESS SEQUENCES WIDTH` prints steps a second. A WIDTH of 0 draws, more searches; of -1
nothing is generated: the client sends every step, as soon as the one before is answered.
"""

import sys
import time

import grpc
import numpy as np

from benchmarks.answers import check_step
from benchmarks.calls import Stream
from benchmarks.load import run
from benchmarks.requests import MODEL
from benchmarks.writer import INPUT
from server.pb import grpc_service_pb2 as pb

WARM_SECONDS, SECONDS = 0.5, 2.0
STEPS = 100
FINAL = b"triton_final_response"


def request(sequence: int, width: int, *, start: bool = True) -> bytes:
    """Serialise a request to write, or to do one step."""
    message = pb.ModelInferRequest(model_name=MODEL, id=str(sequence))
    message.parameters["sequence_id"].int64_param = sequence
    message.parameters["sequence_start"].bool_param = start
    if width >= 0:
        message.parameters["recur_max_steps"].int64_param = STEPS
    if width > 0:
        message.parameters["recur_beam_width"].int64_param = width
    message.inputs.add(name=INPUT, datatype="INT64", shape=[1, 1])
    message.raw_input_contents.append(np.array([sequence % 7], np.int64).tobytes())
    return message.SerializeToString()


async def drive(
    address: str, sequences: int, width: int, *, warm_seconds: float = WARM_SECONDS, seconds: float = SECONDS
) -> float:
    """Give steps a second once all write; raises Refused for an answer that is an error."""
    async with grpc.aio.insecure_channel(address) as channel:
        stream = Stream(channel)
        for number in range(1, sequences + 1):
            await stream.write(request(number, width))
        again = {str(number): request(number, width, start=width >= 0) for number in range(1, sequences + 1)}
        began, steps, measuring = time.perf_counter(), 0, False
        while True:
            answer = await stream.read()
            check_step(answer)
            steps += STEPS if width > 0 else 1
            if width < 0 or FINAL in answer:
                name = pb.ModelStreamInferResponse.FromString(answer).infer_response.id
                await stream.write(again[name])
            spent = time.perf_counter() - began
            if measuring and spent >= seconds:
                return steps / spent
            if not measuring and spent >= warm_seconds:
                began, steps, measuring = time.perf_counter(), 0, True


if __name__ == "__main__":
    sys.exit(run(drive(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
