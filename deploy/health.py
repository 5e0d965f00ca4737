"""The container's health check: exits 0 where the server beside it serves, by the standard health service."""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

OK, FAILED = 0, 1
ANSWER_SECONDS = 4


def main(listen: str) -> int:
    """Ask the server at HOST:PORT; returns the exit code, with the reason on stderr."""
    with grpc.insecure_channel(listen) as channel:
        try:
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # its types leave it out
            answer = check(health_pb2.HealthCheckRequest(), timeout=ANSWER_SECONDS, wait_for_ready=True)
        except grpc.RpcError as error:
            sys.stderr.write(f"health: {error.details()}\n")
            return FAILED
    return OK if answer.status == health_pb2.HealthCheckResponse.SERVING else FAILED


if __name__ == "__main__":
    sys.exit(main(os.environ["RECUR_LISTEN"]))
