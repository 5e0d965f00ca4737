"""The standard health service, with a name for the server, each model, each version, and admission."""

from typing import final

from grpc_health.v1 import health, health_pb2

from server.catalogue import Catalogue
from server.errors import ModelMissing, ModelNotReady
from server.rpc.library import handler
from server.types import ModelKey

ADMISSION = "recur.admission"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@final
class Health:
    """Statuses follow the catalogue; a draining server serves under no name."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._servicer = health.aio.HealthServicer()
        self.handler = handler(health.SERVICE_NAME, self._servicer)

    async def start(self) -> None:
        """Say that the server is ready, with any models or none."""
        await self._set("", serves=True)
        await self._set(ADMISSION, serves=True)

    async def follow(self, key: ModelKey) -> None:
        """Set the statuses of a version that begins to serve or was refused, and of its model."""
        await self._set(key.name, serves=self._serves(key.name))
        await self._set(f"{key.name}/{key.version}", serves=self._serves(key.name, str(key.version)))

    async def admission(self, open: bool) -> None:
        """Say whether new sequences are taken; live ones go on either way."""
        await self._set(ADMISSION, serves=open)

    async def drain(self) -> None:
        """Say under every name that this server no longer serves."""
        await self._servicer.enter_graceful_shutdown()

    async def _set(self, name: str, *, serves: bool) -> None:
        await self._servicer.set(name, SERVING if serves else NOT_SERVING)

    def _serves(self, name: str, version: str = "") -> bool:
        try:
            self._catalogue.find(name, version)
        except (ModelMissing, ModelNotReady):
            return False
        return True
