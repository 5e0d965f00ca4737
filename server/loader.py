"""Brings to service what the repository has and the settings want; every new version is checked before it serves."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import final
from weakref import WeakValueDictionary

from models.device import CPU
from models.errors import ModelError, ModelUnsupported
from models.loading import CheckedModel, load_checked
from models.repository import ModelVersion, Repository
from models.supported import refuse_unsupported
from models.tensors import describe_shape
from server.catalogue import Catalogue, ServedModel, State
from server.collecting import nothing_kept
from server.options import Versions
from server.padding import Padding
from server.retirement import Changed, Live, Retirement
from server.runtime import Runtime
from server.settings import Settings
from server.shelf import Found, Shelf
from server.stores.base import StateStore
from server.stores.memory import MemoryStore
from server.stores.rows import HostRows, Place
from server.types import ModelKey

DELETED = "it was deleted from the repository"
ASKED = "its unloading was asked for"
NOT_ASKED = "nobody asked for it; RepositoryModelLoad loads it"
NOT_NAMED = "the settings name other versions of this model"
NOT_THERE = "the settings name it, and it is not in the repository"
STILL_ENDING = "the sequences of what had its number before are still ending; try again later"

Probe = Callable[[Repository, ModelVersion], None]
Left = Callable[[str, StateStore], float]

logger = logging.getLogger(__name__)


@final
class Loader:
    """Loads each version once; one that was refused is tried again when its files change, or when asked to.

    Args:
        sequences: whoever keeps the sequences of the versions.
        changed: told of every version that begins or ceases to serve, or is refused.
        probe: tries a version where it can end no server; raises ModelError.
        left: tells by how many bytes the states in the store of a version of a model may grow.
        place: where the states of the versions lie.
        clock: monotonic seconds.

    Attributes:
        retirement: the versions that no longer take new sequences.
        awaited: models to load at the start that the repository does not have yet.
    """

    def __init__(
        self,
        repository: Repository,
        catalogue: Catalogue,
        sequences: Live,
        settings: Settings,
        *,
        changed: Changed,
        probe: Probe,
        left: Left,
        place: Place = HostRows,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._probe = probe
        self._place = place
        self._left = left
        self._catalogue = catalogue
        self._settings = settings
        self._changed = changed
        self._explicit = settings.control == "explicit"
        self._shelf = Shelf(repository)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.retirement = Retirement(catalogue, sequences, changed=changed, clock=clock)
        self.awaited = set(settings.load)

    async def follow(self, every_seconds: float) -> None:
        """Look for new versions until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            await self.poll()

    async def poll(self) -> None:
        """Bring to service what is new; reading and checking happen off the event loop."""
        try:
            there = await asyncio.to_thread(self._shelf.look, self._held())
        except Exception:  # what cannot be read now may be read the next time
            logger.exception("the repository cannot be read")
            return
        for name in sorted({*there, *(key.name for key in self._catalogue.standings())}):
            try:
                await self._follow_model(name, there.get(name, {}))
            except Exception:  # whatever one model does to the loader, the others are followed
                logger.exception("following failed", extra={"model": name})

    async def load(self, name: str) -> dict[int, str] | None:
        """Load a model, or what is new of it; returns why versions that should serve do not, None for no model."""
        async with self._lock(name):
            there = await asyncio.to_thread(self._shelf.look, self._held())
            if name not in there:
                return None
            self.awaited.discard(name)
            return await self._bring(name, there[name], again=True)

    async def unload(self, name: str) -> bool:
        """Let all versions of a model retire within the time to drain; returns whether there is such a model."""
        async with self._lock(name):
            standings = self._catalogue.standings(name) if name else {}
            known = bool(standings) or name in self.awaited
            self.awaited.discard(name)
            for key, standing in standings.items():
                if key in self._catalogue:
                    await self.retirement.retire(key, ASKED, within=self._settings.drain_seconds)
                elif standing.state is State.REFUSED:
                    self._catalogue.unload(key, ASKED)
                    await self._changed(key)
        await self.retirement.sweep()
        return known

    async def _follow_model(self, name: str, there: Mapping[int, Found]) -> None:
        if not self._explicit:
            await self._bring(name, there)
        elif name in self.awaited and there:
            self.awaited.discard(name)
            async with self._lock(name):
                await self._bring(name, there)
        else:
            self._set_aside([key for key in _keys(there) if self._catalogue.state(key) is None], NOT_ASKED)
            await self._forget_deleted(name, there)

    async def _bring(self, name: str, there: Mapping[int, Found], *, again: bool = False) -> dict[int, str]:
        """Let the wanted versions serve and the others retire; returns why some that are wanted do not."""
        wanted = self._settings.versions(name)
        serving: list[int] = []
        failed = await self._refuse_absent(name, there, wanted)
        for found in _in_order(there, wanted):
            if reason := await self._why_not(found, again=again):
                failed[found.key.version] = reason
                continue
            serving.append(found.key.version)
            if wanted == "latest":
                break
        await self._let_go(name, there, serving, wanted)
        return failed

    async def _let_go(self, name: str, there: Mapping[int, Found], serving: list[int], wanted: Versions) -> None:
        instead = f"version {serving[0]} serves in its place" if wanted == "latest" and serving else NOT_NAMED
        for key in self._serving(name):
            if key.version not in serving:
                await self.retirement.retire(key, instead if key.version in there else DELETED)
        self._set_aside(_keys(there), instead)
        await self._forget_deleted(name, there)

    async def _why_not(self, found: Found, *, again: bool) -> str | None:
        """Let a version serve, loading it where it is not; returns the reason where it does not."""
        key, state = found.key, self._catalogue.state(found.key)
        if state is State.SERVING:
            return None
        if state is State.RETIRING:
            if not self._shelf.knows(found):
                return STILL_ENDING
            await self.retirement.revive(key)
            return None
        if state is not State.REFUSED or again or not self._shelf.knows(found):
            await self._try(found)
        return self._catalogue.refused().get(key)

    async def _try(self, found: Found) -> None:
        key = found.key
        self._catalogue.loading(key)
        self._shelf.remember(found)
        try:
            model = await asyncio.to_thread(self._load, found.place)
        except ModelError as error:
            self._refuse(key, str(error))
        except Exception:  # whatever a model does to its loading, the others go on serving
            logger.exception("loading failed", extra={"model": key.name, "version": key.version})
            self._refuse(key, "it could not be loaded; the server's log has the cause")
        else:
            self._catalogue.add(model)
            logger.info("model serves", extra={"model": key.name, "version": key.version})
        await self._changed(key)

    def _load(self, place: ModelVersion) -> ServedModel:
        refuse_unsupported(self._repository.read_manifest(place))
        self._probe(self._repository, place)
        threads, device = self._settings.threads, self._settings.device
        checked = load_checked(self._repository, place, threads=threads, device=device)
        limits = self._settings.limits(place.name)
        kept = nothing_kept(checked.manifest)
        store = MemoryStore(
            checked.initial | kept,
            checked.manifest.outputs,
            capacity=limits.max_sequences,
            ragged=Padding(checked.manifest.states).names | kept.keys(),
            left=partial(self._left, place.name),
            place=self._place,
        )
        if 0 < limits.max_state_bytes < store.slot_bytes:
            raise ModelUnsupported(
                f"one sequence takes {store.slot_bytes} bytes, and max_state_bytes allows {limits.max_state_bytes}"
            )
        key = ModelKey(place.name, place.version)
        return ServedModel(
            key,
            checked.manifest,
            Runtime(checked.runner, store, vocabulary=checked.vocabulary, most_steps=limits.max_steps),
            store,
            _parameters(checked, device),
        )

    def _refuse(self, key: ModelKey, reason: str) -> None:
        self._catalogue.refuse(key, reason)
        logger.warning("model refused", extra={"model": key.name, "version": key.version, "reason": reason})

    async def _refuse_absent(self, name: str, there: Mapping[int, Found], wanted: Versions) -> dict[int, str]:
        """Refuse the versions that the settings name and nobody published."""
        named = wanted if isinstance(wanted, tuple) else ()
        absent = [ModelKey(name, version) for version in named if version not in there]
        for key in absent:
            if self._catalogue.state(key) in (None, State.UNLOADED):
                self._refuse(key, NOT_THERE)
                await self._changed(key)
        return {key.version: NOT_THERE for key in absent}

    def _set_aside(self, keys: Iterable[ModelKey], reason: str) -> None:
        """Tell why versions that are there are not loaded."""
        for key in keys:
            if self._catalogue.state(key) in (None, State.UNLOADED):
                self._catalogue.unload(key, reason)

    async def _forget_deleted(self, name: str, there: Mapping[int, Found]) -> None:
        for key, standing in self._catalogue.standings(name).items():
            gone = key.version not in there and standing.state in (State.REFUSED, State.UNLOADED)
            if gone and standing.reason != NOT_THERE:
                self._catalogue.forget(key)
                self._shelf.forget(key)
                await self._changed(key)

    def _lock(self, name: str) -> asyncio.Lock:
        """One change of a model at a time; a lock that nobody holds is forgotten."""
        return self._locks.setdefault(name, asyncio.Lock())

    def _serving(self, name: str) -> list[ModelKey]:
        return [model.key for model in self._catalogue.served() if model.key.name == name]

    def _held(self) -> list[ModelKey]:
        return [model.key for model in self._catalogue.loaded()]


def _in_order(there: Mapping[int, Found], wanted: Versions) -> list[Found]:
    """The versions to let serve, the newest first."""
    newest_first = sorted(there, reverse=True)
    return [there[version] for version in newest_first if not isinstance(wanted, tuple) or version in wanted]


def _keys(there: Mapping[int, Found]) -> list[ModelKey]:
    return [found.key for found in there.values()]


def _parameters(checked: CheckedModel, device: str) -> dict[str, str]:
    manifest = checked.manifest
    # It was measured on a CPU, and says nothing of a card's kernels.
    invariant = manifest.measured.batch_invariant and device == CPU
    parameters = {
        "digest": manifest.files[manifest.graphs.main],
        "batch_invariant": "true" if invariant else "false",
        "kind": manifest.kind,
    }
    if manifest.delay:
        parameters["delay"] = str(manifest.delay)
    runner = checked.runner
    for name, specs in (
        ("start_inputs", runner.start_inputs),
        ("peek_inputs", runner.peek_inputs),
        ("peek_outputs", runner.peek_outputs),
    ):
        if specs:
            parameters[name] = ", ".join(f"{spec.name} {spec.dtype} {describe_shape(spec.shape)}" for spec in specs)
    if checked.vocabulary is not None:
        parameters["vocabulary"] = checked.vocabulary
    if checked.labels is not None:
        parameters["labels"] = checked.labels
    return parameters
