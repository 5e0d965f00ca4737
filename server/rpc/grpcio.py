"""The transport of gRPC's own library: grpc.aio serves every method on the event loop."""

from collections.abc import Sequence
from typing import final

import grpc

from server.rpc import connection
from server.rpc.inference import InferenceService


@final
class Grpcio:
    """One grpc.aio server."""

    def __init__(self, handlers: Sequence[grpc.GenericRpcHandler], max_calls: int) -> None:
        self._server = grpc.aio.server(options=connection.options(max_calls))
        self._server.add_generic_rpc_handlers(tuple(handlers))

    async def start(self, listen: str) -> int:
        """Listen on HOST:PORT, or on unix:PATH; gives the port, or raises OSError."""
        try:
            port = self._server.add_insecure_port(listen)
            await self._server.start()
        except RuntimeError as error:
            raise OSError(f"cannot listen on {listen}") from error
        return port

    async def stop(self, grace: float) -> None:
        """Take nothing new, let calls end for so many seconds, then end them."""
        await self._server.stop(grace)


def open_transport(_: InferenceService, handlers: Sequence[grpc.GenericRpcHandler], max_calls: int) -> Grpcio:
    """Make the transport; the handlers know the service."""
    return Grpcio(handlers, max_calls)
