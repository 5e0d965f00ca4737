"""The service's methods as bytes in and bytes out, so that a load serialises once and parses what it must."""

import asyncio
from typing import final

import grpc

from benchmarks.answers import Refused

SERVICE = "/inference.GRPCInferenceService"


@final
class Stream:
    """One stream; it is the client's to end, so its end raises Refused."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(f"{SERVICE}/ModelStreamInfer")()

    async def write(self, request: bytes) -> None:
        """Send one request."""
        try:
            await self._call.write(request)
        except asyncio.InvalidStateError as error:
            raise Refused("the server ended a stream") from error

    async def read(self) -> bytes:
        """Wait for one answer."""
        answer = await self._call.read()
        if not isinstance(answer, bytes):
            raise Refused("the server ended a stream")
        return answer


def unary(channel: grpc.aio.Channel) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    """Give the method for a request and its answer."""
    return channel.unary_unary(f"{SERVICE}/ModelInfer")
