"""A client to be killed: `python -m tests.faults.doomed ADDRESS COUNT` opens streams, asks much and reads little."""

import os
import sys
import threading
from collections.abc import Iterator

import grpc

from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.wire import ask


def requests(number: int, stop: threading.Event) -> Iterator[pb.ModelInferRequest]:
    """Begin a sequence, go on with it many times, and never end it."""
    yield ask(f"doomed {os.getpid()} {number}", [number], step=0, start=True)
    for step in range(1, 200):
        yield ask(f"doomed {os.getpid()} {number}", [number] * 100, step=1 + 100 * (step - 1))
    stop.wait()


def main(address: str, count: int) -> None:
    """Tell when every stream has had its first answer, then wait for the end."""
    stop = threading.Event()
    with grpc.insecure_channel(address) as channel:
        calls = stubs.GRPCInferenceServiceStub(channel)
        streams = [calls.ModelStreamInfer(requests(number, stop)) for number in range(count)]
        for stream in streams:
            next(stream)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
