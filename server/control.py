"""Loads and unloads models as clients ask, where the settings leave it to them."""

import asyncio
from collections.abc import Coroutine
from typing import final

from server.catalogue import Catalogue
from server.errors import ControlRefused, LoadFailed, ModelMissing
from server.loader import Loader


@final
class Control:
    """What is begun is done to the end, even where the client does not wait for it.

    Args:
        explicit: whether clients may ask; otherwise the server follows its repository by itself.
    """

    def __init__(self, loader: Loader, catalogue: Catalogue, *, explicit: bool) -> None:
        self._loader = loader
        self._catalogue = catalogue
        self._explicit = explicit
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, name: str) -> None:
        """Load a model, or what is new of it; answers when it serves.

        Raises:
            ControlRefused: clients may not ask.
            ModelMissing: the repository does not have it.
            LoadFailed: a version that should serve cannot, with the reason; others may serve.
        """
        self._check("RepositoryModelLoad")
        await self._finish(self._load(name))

    async def unload(self, name: str) -> None:
        """Let a model take no new sequences; it is unloaded when the live ones are gone or had their time.

        Raises:
            ControlRefused: clients may not ask.
            ModelMissing: no such model is here.
        """
        self._check("RepositoryModelUnload")
        await self._finish(self._unload(name))

    def _check(self, call: str) -> None:
        if not self._explicit:
            raise ControlRefused(
                f"this server serves what its repository has by itself; {call} needs one started with "
                "--control explicit"
            )

    async def _finish(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _load(self, name: str) -> None:
        failed = await self._loader.load(name)
        if failed is None:
            raise ModelMissing(f"no model '{name}' in the repository; publish it, then load it")
        if failed:
            reasons = "; ".join(f"version {version}: {reason}" for version, reason in sorted(failed.items()))
            serving = [model.key.version for model in self._catalogue.served() if model.key.name == name]
            instead = f"; version {serving[-1]} serves" if serving else ""
            raise LoadFailed(f"model '{name}' could not be loaded: {reasons}{instead}")

    async def _unload(self, name: str) -> None:
        if not await self._loader.unload(name):
            raise ModelMissing(f"no model '{name}' here to unload")
