"""The service of the Open Inference Protocol: one method for each of the .proto that Recur serves."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import final

import grpc

from server import __version__
from server.catalogue import Catalogue
from server.codec.request import id_of
from server.control import Control
from server.errors import Draining, Internal, ModelMissing, ModelNotReady, RecurError
from server.limits import Limits
from server.metrics import Metrics
from server.pb import grpc_service_pb2 as pb
from server.rpc.describe import config, index, metadata, statistics
from server.rpc.exchange import Reply
from server.rpc.inbox import Inbox
from server.rpc.repository import check_load, check_unload
from server.rpc.status import abort
from server.rpc.stream import Context, Stream
from server.types import Chunk

logger = logging.getLogger(__name__)

STOPPING = "the server is stopping; connect again"
EXTENSIONS = ("sequence", "model_configuration", "statistics", "model_repository")


@final
class InferenceService:
    """What it answers is in the catalogue and comes from the inbox; it keeps nothing itself."""

    def __init__(
        self,
        inbox: Inbox,
        catalogue: Catalogue,
        metrics: Metrics,
        control: Control,
        limits: Callable[[str], Limits],
    ) -> None:
        self._inbox = inbox
        self._catalogue = catalogue
        self._metrics = metrics
        self._control = control
        self._limits = limits
        self.draining = asyncio.Event()

    async def ServerLive(self, _: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        """Answer while the process lives."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        """Answer true with any models or none; false while draining."""
        return pb.ServerReadyResponse(ready=not self.draining.is_set())

    async def ModelReady(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Answer whether a version takes new sequences; one that is not there does not."""
        try:
            self._catalogue.find(request.name, request.version)
        except (ModelMissing, ModelNotReady):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, _: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        """Tell name, version and the extensions of the protocol that are served."""
        return pb.ServerMetadataResponse(name="recur", version=__version__, extensions=EXTENSIONS)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        """Tell what the model takes and gives."""
        model = self._catalogue.find(request.name, request.version, new=False)
        versions = [served.key.version for served in self._catalogue.served() if served.key.name == request.name]
        return metadata(model, versions)

    async def ModelConfig(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        """Tell how the model is served, and its vocabulary, labels, digest and batch invariance."""
        model = self._catalogue.find(request.name, request.version, new=False)
        return config(model, self._limits(model.key.name))

    async def ModelStatistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        """Tell counts and times since the start, of one version or of all."""
        named = (request.name, request.version)
        found = [self._catalogue.find(*named, new=False)] if request.name else self._catalogue.loaded()
        return pb.ModelStatisticsResponse(model_stats=[statistics(model.key, self._metrics) for model in found])

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """List the versions, with the reason where one does not serve."""
        return index(self._catalogue, ready_only=request.ready)

    async def RepositoryModelLoad(self, request: pb.RepositoryModelLoadRequest) -> pb.RepositoryModelLoadResponse:
        """Load a model, or what is new of it; answers when it serves or could not be loaded."""
        check_load(request)
        await self._control.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: pb.RepositoryModelUnloadRequest) -> pb.RepositoryModelUnloadResponse:
        """Let a model take no new sequences; answers before the last of its live ones has ended."""
        check_unload(request)
        await self._control.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    async def infer(self, data: bytes, context: Context) -> bytes:
        """Answer one ModelInferRequest; a client that goes away while it waits takes it out of the queue."""
        answered: asyncio.Future[bytes | RecurError] = asyncio.get_running_loop().create_future()

        def reply(_: str, result: bytes | RecurError) -> None:
            if not answered.done():
                answered.set_result(result)

        chunks = self.take(data, reply, client=hash(context.peer()))
        try:
            result = await answered
        except asyncio.CancelledError:
            if answered.cancelled():
                self.cancel(chunks)
            raise
        if isinstance(result, RecurError):
            raise result
        return result

    def take(self, data: bytes, reply: Reply, *, client: int) -> Sequence[Chunk]:
        """Queue a ModelInferRequest of a call; whatever goes wrong is replied. Gives its chunks that wait."""
        if self.draining.is_set():
            reply(id_of(data), Draining(STOPPING))
            return ()
        try:
            return self._inbox.take(data, reply, client=client)
        except Exception:
            logger.exception("call failed")
            reply(id_of(data), Internal("the call failed; the server's log has the cause"))
            return ()

    def cancel(self, chunks: Sequence[Chunk]) -> None:
        """Drop a call whose client has gone, as far as it has not begun."""
        self._inbox.cancel(chunks)

    async def ModelStreamInfer(self, _: grpc.aio.ServicerContext[bytes, bytes], context: Context) -> None:
        """Serve one client's stream; its errors are messages, and it stays open."""
        await Stream(self._inbox, context).serve(self.draining)
        if self.draining.is_set():
            await abort(context, Draining(STOPPING))
