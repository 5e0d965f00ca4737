"""A server in this process that answers streams as a test says."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import numpy as np

from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs

Answer = Callable[[pb.ModelInferRequest], pb.ModelStreamInferResponse | None]


class Fake(stubs.GRPCInferenceServiceServicer):
    """Keeps every request of its streams; an answer of None ends a stream, and after `answers` it is silent."""

    def __init__(self, answer: Answer, *, answers: float = math.inf) -> None:
        self.answer = answer
        self.answers = answers
        self.requests: list[pb.ModelInferRequest] = []

    async def ModelStreamInfer(self, requests, _) -> AsyncIterator[pb.ModelStreamInferResponse]:  # noqa: N802
        async for request in requests:
            self.requests.append(request)
            if len(self.requests) > self.answers:
                continue
            answer = self.answer(request)
            if answer is None:
                return
            yield answer


@asynccontextmanager
async def serving(fake: Fake) -> AsyncIterator[str]:
    server = grpc.aio.server()
    stubs.add_GRPCInferenceServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def tensor(request: pb.ModelInferRequest, name: str, dtype: type[np.generic]) -> np.ndarray:
    """Read one input of a request."""
    names = [tensor.name for tensor in request.inputs]
    place = names.index(name)
    return np.frombuffer(request.raw_input_contents[place], dtype).reshape(request.inputs[place].shape)


def rows_answer(request: pb.ModelInferRequest, *, refused: dict[int, str] | None = None) -> pb.ModelStreamInferResponse:
    """Answer a request of many rows; `refused` are the sentences of rows that are."""
    refused = refused or {}
    rows = len(tensor(request, "sequence_id", np.int64))
    message = pb.ModelStreamInferResponse()
    answer = message.infer_response
    answer.id = request.id
    texts = [refused.get(row, "").encode() for row in range(rows)]
    status = np.array([3 if text else 0 for text in texts], np.int32).tobytes()
    for name, datatype, raw in (
        ("y", "FP32", np.ones(rows, np.float32).tobytes()),
        ("sequence_status", "INT32", status),
        ("sequence_error", "BYTES", b"".join(len(text).to_bytes(4, "little") + text for text in texts)),
    ):
        answer.outputs.add(name=name, datatype=datatype, shape=[rows])
        answer.raw_output_contents.append(raw)
    return message


def step_answer(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
    return pb.ModelStreamInferResponse(infer_response=pb.ModelInferResponse(id=request.id))


def error_answer(sentence: str) -> pb.ModelStreamInferResponse:
    message = pb.ModelStreamInferResponse(error_message=sentence)
    message.infer_response.parameters["recur_reason"].string_param = "SOME_REASON"
    return message
