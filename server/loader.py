"""Follows the repository: a version published while the server runs is checked and then serves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import final

from models.errors import ModelError
from models.loading import CheckedModel, load_checked
from models.manifest import FILE
from models.repository import ModelVersion, Repository
from server.catalogue import Catalogue, ServedModel
from server.runtime import Runtime
from server.stores.memory import MemoryStore
from server.types import ModelKey

logger = logging.getLogger(__name__)

Changed = Callable[[ModelKey], Awaitable[None]]


@final
class Loader:
    """Loads each version once; one that was refused is tried again when its manifest changes.

    Args:
        threads: cores that one run uses.
        max_sequences: live sequences a version may have.
        changed: told of every version that begins to serve or is refused.
    """

    def __init__(
        self, repository: Repository, catalogue: Catalogue, *, threads: int, max_sequences: int, changed: Changed
    ) -> None:
        self._repository = repository
        self._catalogue = catalogue
        self._threads = threads
        self._max_sequences = max_sequences
        self._changed = changed
        self._seen: dict[ModelVersion, int] = {}

    async def follow(self, every_seconds: float) -> None:
        """Look for new versions until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            await self.poll()

    async def poll(self) -> None:
        """Load what is new; reading and checking happen off the event loop."""
        for place, stamp in await asyncio.to_thread(self._news):
            self._seen[place] = stamp
            key = ModelKey(place.name, place.version)
            try:
                model = await asyncio.to_thread(self._load, place)
            except ModelError as error:
                self._refuse(key, str(error))
            except Exception:  # whatever a model does to its loading, the others go on serving
                logger.exception("loading failed", extra={"model": key.name, "version": key.version})
                self._refuse(key, "it could not be loaded; the server's log has the cause")
            else:
                self._catalogue.add(model)
                logger.info("model serves", extra={"model": key.name, "version": key.version})
            await self._changed(key)

    def _refuse(self, key: ModelKey, reason: str) -> None:
        self._catalogue.refuse(key, reason)
        logger.warning("model refused", extra={"model": key.name, "version": key.version, "reason": reason})

    def _news(self) -> list[tuple[ModelVersion, int]]:
        stamps = [(place, _stamp(place)) for place in self._repository.list()]
        return [(place, stamp) for place, stamp in stamps if self._is_new(place, stamp)]

    def _is_new(self, place: ModelVersion, stamp: int) -> bool:
        serves = any(model.key == ModelKey(place.name, place.version) for model in self._catalogue.served())
        return not serves and self._seen.get(place) != stamp

    def _load(self, place: ModelVersion) -> ServedModel:
        checked = load_checked(self._repository, place, threads=self._threads)
        store = MemoryStore(checked.initial, capacity=self._max_sequences)
        key = ModelKey(place.name, place.version)
        return ServedModel(key, checked.manifest, Runtime(checked.runner, store), store, _parameters(checked))


def _stamp(place: ModelVersion) -> int:
    """The time of the manifest's last change; 0 where there is none."""
    try:
        return (place.folder / FILE).stat().st_mtime_ns
    except OSError:
        return 0


def _parameters(checked: CheckedModel) -> dict[str, str]:
    manifest = checked.manifest
    parameters = {
        "digest": manifest.files[manifest.graphs.main],
        "batch_invariant": "true" if manifest.measured.batch_invariant else "false",
    }
    if checked.vocabulary is not None:
        parameters["vocabulary"] = checked.vocabulary
    if checked.labels is not None:
        parameters["labels"] = checked.labels
    return parameters
