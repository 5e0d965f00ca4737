"""The reference for the native transport: pygrpc-native bare, which parses each request and answers with its bytes.

`python -m benchmarks.native_echo` prints its address and serves until it is ended.
"""

import sys

from pygrpc_native import NativeGrpcFront

from benchmarks.calls import SERVICE
from benchmarks.echo import fill
from server.pb import grpc_service_pb2 as pb

MOST = 256


def serve() -> None:
    """Serve unary calls on a port that the system chooses, on this thread."""
    front = NativeGrpcFront("127.0.0.1:0", [(f"{SERVICE}/ModelInfer", False)], io_threads=1)
    front.start()
    sys.stdout.write(f"127.0.0.1:{front.bound_port}\n")
    sys.stdout.flush()
    while (events := front.recv_batch(MOST)) is not None:
        for _, call, _, data, _ in events:
            if data is not None:
                answer = pb.ModelInferResponse()
                fill(answer, pb.ModelInferRequest.FromString(data))
                front.respond(call, answer.SerializeToString())


if __name__ == "__main__":
    serve()
