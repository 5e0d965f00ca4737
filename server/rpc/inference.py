"""The service of the Open Inference Protocol: one method for each of the .proto that Recur serves."""

import asyncio
from typing import final

import grpc

from server import __version__
from server.catalogue import Catalogue
from server.errors import Draining, ModelMissing, ModelNotReady, RecurError
from server.metrics import Metrics
from server.pb import grpc_service_pb2 as pb
from server.rpc.describe import config, index, metadata, statistics
from server.rpc.inbox import Fill, Inbox
from server.rpc.status import abort
from server.rpc.stream import Context, Stream

EXTENSIONS = ("sequence", "model_configuration", "statistics", "model_repository")


@final
class InferenceService:
    """What it answers is in the catalogue and comes from the inbox; it keeps nothing itself."""

    def __init__(
        self, inbox: Inbox, catalogue: Catalogue, metrics: Metrics, *, max_batch: int, idle_seconds: float
    ) -> None:
        self._inbox = inbox
        self._catalogue = catalogue
        self._metrics = metrics
        self._max_batch = max_batch
        self._idle_seconds = idle_seconds
        self.draining = asyncio.Event()

    async def ServerLive(self, _: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        """Answer while the process lives."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        """Answer true with any models or none; false while draining."""
        return pb.ServerReadyResponse(ready=not self.draining.is_set())

    async def ModelReady(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Answer whether a version serves; one that is not there does not."""
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
        model = self._catalogue.find(request.name, request.version)
        versions = [served.key.version for served in self._catalogue.served() if served.key.name == request.name]
        return metadata(model, versions)

    async def ModelConfig(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        """Tell how the model is served, and its vocabulary, labels, digest and batch invariance."""
        model = self._catalogue.find(request.name, request.version)
        return config(model, max_batch=self._max_batch, idle_seconds=self._idle_seconds)

    async def ModelStatistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        """Tell counts and times since the start, of one version or of all."""
        found = [self._catalogue.find(request.name, request.version)] if request.name else self._catalogue.served()
        return pb.ModelStatisticsResponse(model_stats=[statistics(model.key, self._metrics) for model in found])

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """List the versions, with the reason where one does not serve."""
        return index(self._catalogue, ready_only=request.ready)

    async def ModelInfer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Answer one request; a client that goes away while it waits takes it out of the queue."""
        answered: asyncio.Future[Fill | RecurError] = asyncio.get_running_loop().create_future()

        def reply(result: Fill | RecurError) -> None:
            if not answered.done():
                answered.set_result(result)

        chunk = self._inbox.take(request, reply)
        try:
            result = await answered
        except asyncio.CancelledError:
            if chunk is not None and answered.cancelled():
                self._inbox.cancel(chunk)
            raise
        if isinstance(result, RecurError):
            raise result
        message = pb.ModelInferResponse()
        result(message)
        return message

    async def ModelStreamInfer(self, _: grpc.aio.ServicerContext[bytes, bytes], context: Context) -> None:
        """Serve one client's stream; its errors are messages, and it stays open."""
        await Stream(self._inbox, context).serve(self.draining)
        if self.draining.is_set():
            await abort(context, Draining("the server is stopping; connect again"))
