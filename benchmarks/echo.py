"""The reference for transport: a bare grpc.aio server that parses each request and answers with its bytes.

`python -m benchmarks.echo` prints its address and serves until it is ended.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import final

import grpc
import uvloop
from typing_extensions import override

from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs

StreamContext = grpc.aio.ServicerContext[pb.ModelInferRequest, pb.ModelStreamInferResponse]
Context = grpc.aio.ServicerContext[pb.ModelInferRequest, pb.ModelInferResponse]


@final
class Echo(stubs.GRPCInferenceServiceServicer):
    """What generated stubs and grpc.aio cost at least: parse, build an answer of the same shapes, serialise."""

    @override
    async def ModelInfer(self, request: pb.ModelInferRequest, _: Context) -> pb.ModelInferResponse:
        answer = pb.ModelInferResponse()
        fill(answer, request)
        return answer

    @override
    async def ModelStreamInfer(
        self, requests: AsyncIterator[pb.ModelInferRequest], _: StreamContext
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        async for request in requests:
            response = pb.ModelStreamInferResponse()
            fill(response.infer_response, request)
            yield response


def fill(answer: pb.ModelInferResponse, request: pb.ModelInferRequest) -> None:
    """Fill an answer with a request's bytes."""
    answer.model_name, answer.model_version, answer.id = request.model_name, "1", request.id
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        answer.outputs.add(name="y", datatype=tensor.datatype, shape=tensor.shape)
        answer.raw_output_contents.append(raw)


async def serve() -> None:
    """Serve on a port that the system chooses."""
    server = grpc.aio.server()
    stubs.add_GRPCInferenceServiceServicer_to_server(Echo(), server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
