"""The methods of the .proto, each bound to the service's method of that name, errors turned into statuses."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from server.codec.request import id_of
from server.errors import Internal, NotServed, RecurError
from server.pb import grpc_service_pb2 as pb
from server.rpc.inference import InferenceService
from server.rpc.status import abort, parse

logger = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]

Context = grpc.aio.ServicerContext[bytes, bytes]
Method = Callable[[Message], Awaitable[Message]]
Call = Callable[[bytes, Context], Awaitable[bytes]]


def handler(service: InferenceService) -> grpc.GenericRpcHandler:
    """Serve every method of the protocol; what the service lacks answers UNIMPLEMENTED."""
    methods = {method.name: _handler(service, method) for method in SERVICE.methods}
    return grpc.method_handlers_generic_handler(SERVICE.full_name, methods)


def _handler(service: InferenceService, method: MethodDescriptor) -> "grpc.RpcMethodHandler[bytes, bytes]":
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(service.ModelStreamInfer)
    if method.name == "ModelInfer":
        return grpc.unary_unary_rpc_method_handler(_guarded(service.infer, id_of))
    served: Method = getattr(service, method.name, _not_served(method.name))
    return grpc.unary_unary_rpc_method_handler(_guarded(_parsing(served, GetMessageClass(method.input_type))))


def _not_served(name: str) -> Method:
    async def refuse(_: Message) -> Message:
        raise NotServed(f"Recur does not serve {name}")

    return refuse


def _parsing(method: Method, request_class: type[Message]) -> Call:
    """Parse, call, serialise."""

    async def call(data: bytes, _: Context) -> bytes:
        return (await method(parse(request_class, data))).SerializeToString()

    return call


def _guarded(call: Call, id_of: Callable[[bytes], str] = lambda _: "") -> Call:
    """Answer whatever goes wrong with a sentence."""

    async def guarded(data: bytes, context: Context) -> bytes:
        try:
            return await call(data, context)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except RecurError as error:
            failure = error
        except Exception:
            logger.exception("call failed")
            failure = Internal("the call failed; the server's log has the cause")
        await abort(context, failure, id_of(data))
        return b""

    return guarded
