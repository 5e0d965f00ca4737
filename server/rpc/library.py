"""Services from gRPC's own packages, bound as ours are: bytes that are no message are refused in a sentence."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.reflection import SERVICE_NAME, aio

from server.errors import InvalidRequest
from server.rpc.status import abort, parse

Context = grpc.aio.ServicerContext[bytes, bytes]
# A servicer's method: of one request or of an iterator of them, with one answer, with none or an iterator of them.
Method = Any


def handler(service: str, servicer: object) -> grpc.GenericRpcHandler:
    """Serve every method of a service, named in full, by the servicer's method of that name."""
    described = descriptor_pool.Default().FindServiceByName(service)
    methods = {method.name: _handler(method, getattr(servicer, method.name)) for method in described.methods}
    return grpc.method_handlers_generic_handler(service, methods)


def reflection(*services: str) -> grpc.GenericRpcHandler:
    """Let clients ask which services there are, this one among them, and what their messages are."""
    return handler(SERVICE_NAME, aio.ReflectionServicer((*services, SERVICE_NAME)))


def _handler(method: MethodDescriptor, call: Method) -> "grpc.RpcMethodHandler[Any, Any]":
    request, write = GetMessageClass(method.input_type), GetMessageClass(method.output_type).SerializeToString

    async def read(data: bytes, context: Context) -> Message:
        try:
            return parse(request, data)
        except InvalidRequest as error:
            await abort(context, error)
            raise

    async def of_one(data: bytes, context: Context) -> Message | None:
        answer: Message | None = await call(await read(data, context), context)
        return answer

    async def of_many(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[Message]:
        async for answer in call((await read(data, context) async for data in requests), context):
            yield answer

    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(of_many, response_serializer=write)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(of_one, response_serializer=write)
    return grpc.unary_unary_rpc_method_handler(of_one, response_serializer=write)
