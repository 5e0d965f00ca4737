"""The ways on which gRPC reaches the service: siblings behind one interface, each a module and a line in a table."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

import grpc

from server.rpc.inference import InferenceService

GRPCIO, NATIVE, AUTO = "grpcio", "native", "auto"
# What `auto` means.
CHOSEN = GRPCIO
TRANSPORTS: Mapping[str, str] = {GRPCIO: "server.rpc.grpcio", NATIVE: "server.rpc.native"}
# The modules that a transport needs and the extra `server` does not bring, with the extra that does.
NEEDED: Mapping[str, tuple[str, str]] = {NATIVE: ("pygrpc_native", "native")}


class Transport(Protocol):
    """Listens on one address; every ModelInfer goes to the service's `take`, and what it replies goes back."""

    async def start(self, listen: str) -> int:
        """Listen on HOST:PORT, port 0 for one that the system chooses; gives the port, or raises OSError."""
        ...

    async def stop(self, grace: float) -> None:
        """Take no new connections, let calls end for so many seconds, then end them; once more ends them sooner."""
        ...


# Makes a transport of the service, the handlers of all methods of the port, and the calls one connection may have open.
Opening = Callable[[InferenceService, Sequence[grpc.GenericRpcHandler], int], Transport]


class TransportMissing(Exception):  # noqa: N818  named after what happened
    """A transport whose package is not installed; one line says which, and how to install it."""


def check_transport(name: str) -> None:
    """Raise TransportMissing where a transport's package is not installed."""
    module, extra = NEEDED.get(name, ("", ""))
    if module and find_spec(module) is None:
        raise TransportMissing(
            f"'{name}' needs the package {module.replace('_', '-')}, which is not installed; "
            f"install it with pip install '.[{extra}]', or use --transport {GRPCIO}"
        )


def chosen(name: str) -> str:
    """Give the transport that a name means."""
    return CHOSEN if name == AUTO else name


def open_transport(
    name: str, service: InferenceService, handlers: Sequence[grpc.GenericRpcHandler], max_calls: int
) -> Transport:
    """Make a transport by its name or `auto`; it does not listen yet."""
    module = import_module(TRANSPORTS[chosen(name)])
    return cast(Opening, module.open_transport)(service, handlers, max_calls)
