"""The load of generation: sequences on one stream, each asked to go on when it has written enough.

`python -m benchmarks.writing ADDRESS SEQUENCES WIDTH [TOGETHER]` prints steps a second. A WIDTH of 0 draws, more
searches; of -1 nothing is generated: the client sends every step, as soon as the one before is answered. An answer has
as many as TOGETHER steps, by default one.
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
STEPS = 400
FINAL = b"triton_final_response"


def request(sequence: int, width: int, *, together: int = 1, start: bool = True) -> bytes:
    """Serialise a request to write, or to do one step."""
    message = pb.ModelInferRequest(model_name=MODEL, id=str(sequence))
    message.parameters["sequence_id"].int64_param = sequence
    message.parameters["sequence_start"].bool_param = start
    if width >= 0:
        message.parameters["recur_max_steps"].int64_param = STEPS
        message.parameters["recur_answer_steps"].int64_param = together
    if width > 0:
        message.parameters["recur_beam_width"].int64_param = width
    message.inputs.add(name=INPUT, datatype="INT64", shape=[1, 1])
    message.raw_input_contents.append(np.array([sequence % 7], np.int64).tobytes())
    return message.SerializeToString()


async def drive(
    address: str,
    sequences: int,
    width: int,
    together: int = 1,
    *,
    warm_seconds: float = WARM_SECONDS,
    seconds: float = SECONDS,
) -> float:
    """Give steps a second once all write; raises Refused for an answer that is an error."""
    async with grpc.aio.insecure_channel(address) as channel:
        stream = Stream(channel)
        for number in range(1, sequences + 1):
            await stream.write(request(number, width, together=together))
        again = {
            str(number): request(number, width, together=together, start=width >= 0)
            for number in range(1, sequences + 1)
        }
        began, steps, measuring = time.perf_counter(), 0, False
        while True:
            answer = await stream.read()
            check_step(answer)
            steps += STEPS if width > 0 else _steps_of(answer) if together > 1 else 1
            if width < 0 or FINAL in answer:
                name = pb.ModelStreamInferResponse.FromString(answer).infer_response.id
                await stream.write(again[name])
            spent = time.perf_counter() - began
            if measuring and spent >= seconds:
                return steps / spent
            if not measuring and spent >= warm_seconds:
                began, steps, measuring = time.perf_counter(), 0, True


def _steps_of(answer: bytes) -> int:
    """Count the steps that an answer has: a probability of four bytes is told of each."""
    return len(pb.ModelStreamInferResponse.FromString(answer).infer_response.raw_output_contents[-1]) // 4


if __name__ == "__main__":
    address, *numbers = sys.argv[1:]
    sys.exit(run(drive(address, *map(int, numbers))))
