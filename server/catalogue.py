"""The model versions that this server knows: those that serve, those that retire, and why the others do neither."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from models.manifest import Manifest
from server.errors import ModelMissing, ModelNotReady
from server.runtime import Runtime
from server.stores.base import StateStore
from server.types import ModelKey


class State(enum.Enum):
    """Where a version stands; only a serving one takes new sequences, and a retiring one goes on with its own."""

    LOADING = enum.auto()
    SERVING = enum.auto()
    RETIRING = enum.auto()
    REFUSED = enum.auto()
    UNLOADED = enum.auto()


@dataclass(frozen=True, slots=True)
class Standing:
    """A version's state, and the reason where it does not serve, as the end of a sentence."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A version that serves.

    Attributes:
        parameters: what clients may want to know besides tensors: vocabulary, labels, digest, batch_invariant.
    """

    key: ModelKey
    manifest: Manifest
    runtime: Runtime
    store: StateStore
    parameters: Mapping[str, str] = field(default_factory=dict)


@final
class Catalogue:
    """Looked up on every request, changed by the loader alone, both on the event loop."""

    def __init__(self) -> None:
        self._standings: dict[ModelKey, Standing] = {}
        self._loaded: dict[ModelKey, ServedModel] = {}
        self._served: tuple[ServedModel, ...] = ()
        self._newest: dict[str, ServedModel] = {}

    def loading(self, key: ModelKey) -> None:
        """Tell of a version that is being read and checked."""
        self._stand(key, State.LOADING, "it is being loaded")

    def add(self, model: ServedModel) -> None:
        """Let a version serve; requests that name no version get the newest."""
        self._loaded[model.key] = model
        self._stand(model.key, State.SERVING)

    def refuse(self, key: ModelKey, reason: str) -> None:
        """Remember why a version could not be loaded."""
        self._stand(key, State.REFUSED, reason)

    def retire(self, key: ModelKey, reason: str) -> None:
        """Let a version that serves take no new sequences; its live ones go on."""
        self._stand(key, State.RETIRING, reason)

    def unload(self, key: ModelKey, reason: str) -> ServedModel | None:
        """Let go of a version, or tell why it is not loaded at all; the caller frees what it held."""
        model = self._loaded.pop(key, None)
        self._stand(key, State.UNLOADED, reason)
        return model

    def forget(self, key: ModelKey) -> None:
        """Know nothing more of a version that holds nothing and is no longer in the repository."""
        del self._standings[key]

    def served(self) -> tuple[ServedModel, ...]:
        """The versions that take new sequences, in order."""
        return self._served

    def loaded(self) -> tuple[ServedModel, ...]:
        """The versions that hold sequences: those that serve and those that retire, in order."""
        return tuple(self._loaded[key] for key in sorted(self._loaded))

    def refused(self) -> dict[ModelKey, str]:
        """The reasons of the versions that could not be loaded."""
        standings = self.standings()
        return {key: standing.reason for key, standing in standings.items() if standing.state is State.REFUSED}

    def standings(self, name: str = "") -> dict[ModelKey, Standing]:
        """Where the versions stand, in order: of one model, or all."""
        return {key: self._standings[key] for key in sorted(self._standings) if name in ("", key.name)}

    def state(self, key: ModelKey) -> State | None:
        """A version's state; None where it is not known here."""
        standing = self._standings.get(key)
        return None if standing is None else standing.state

    def __getitem__(self, key: ModelKey) -> ServedModel:
        return self._loaded[key]

    def __contains__(self, key: ModelKey) -> bool:
        return key in self._loaded

    def find(self, name: str, version: str = "", *, new: bool = True) -> ServedModel:
        """Find a version as a request names it; without a version the newest that serves.

        Args:
            name: the model.
            version: its number, or "".
            new: for what begins here. Otherwise a version that retires is found too: by its number, or as the
                newest where none serves.

        Raises:
            ModelMissing: it is not here.
            ModelNotReady: it is here and cannot be used, with the reason.
        """
        if not version and (newest := self._newest.get(name)):
            return newest
        found = self._numbered(name, version) if version else self._last(name)
        if found is None or (new and self._standings[found.key].state is not State.SERVING):
            raise self._why_not(name, version)
        return found

    def _stand(self, key: ModelKey, state: State, reason: str = "") -> None:
        self._standings[key] = Standing(state, reason)
        serving = [found for found in sorted(self._loaded) if self._standings[found].state is State.SERVING]
        self._served = tuple(self._loaded[found] for found in serving)
        self._newest = {model.key.name: model for model in self._served}

    def _numbered(self, name: str, version: str) -> ServedModel | None:
        number = _number(version)
        return None if number is None else self._loaded.get(ModelKey(name, number))

    def _last(self, name: str) -> ServedModel | None:
        return next((model for model in reversed(self.loaded()) if model.key.name == name), None)

    def _why_not(self, name: str, version: str) -> ModelMissing | ModelNotReady:
        standings = self.standings(name)
        if not standings or not name:
            known = sorted({key.name for key in self._standings})
            return ModelMissing(f"no model '{name}' here; there is {_listed(known)}")
        number = _number(version) if version else _explained(standings)
        key = ModelKey(name, -1 if number is None else number)
        if key not in standings:
            there = [found.version for found in standings]
            return ModelMissing(f"model '{name}' has no version '{version}' here; there is {_listed(there)}")
        does_not = "takes no new sequences" if key in self._loaded else "does not serve"
        return ModelNotReady(f"version {key.version} of model '{name}' {does_not}: {standings[key].reason}")


def _number(version: str) -> int | None:
    """Read a version as the repository writes it; None for what is no version."""
    short = len(version) < len(str(2**63)) and version.isascii() and version.isdecimal()
    return int(version) if short and str(int(version)) == version else None


def _explained(standings: Mapping[ModelKey, Standing]) -> int:
    """The version whose reason tells most: the newest that is not left out on purpose."""
    meant = [key.version for key, standing in standings.items() if standing.state is not State.UNLOADED]
    return max(meant or [key.version for key in standings])


def _listed(values: list[str] | list[int]) -> str:
    return ", ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values) or "none"
