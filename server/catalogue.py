"""The model versions that this server has: those that serve, and why the others do not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from models.manifest import Manifest
from server.errors import ModelMissing, ModelNotReady
from server.runtime import Runtime
from server.stores.base import StateStore
from server.types import ModelKey


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
        self._served: dict[ModelKey, ServedModel] = {}
        self._refused: dict[ModelKey, str] = {}
        self._newest: dict[str, ServedModel] = {}

    def add(self, model: ServedModel) -> None:
        """Let a version serve; requests that name no version get the newest."""
        self._refused.pop(model.key, None)
        self._served[model.key] = model
        self._newest[model.key.name] = self._served[max(key for key in self._served if key.name == model.key.name)]

    def refuse(self, key: ModelKey, reason: str) -> None:
        """Remember why a version does not serve."""
        self._refused[key] = reason

    def served(self) -> list[ServedModel]:
        """The versions that serve, in order."""
        return [self._served[key] for key in sorted(self._served)]

    def refused(self) -> dict[ModelKey, str]:
        """The reasons of the versions that do not."""
        return dict(sorted(self._refused.items()))

    def __getitem__(self, key: ModelKey) -> ServedModel:
        return self._served[key]

    def find(self, name: str, version: str = "") -> ServedModel:
        """Find a version as a request names it; raises ModelMissing or ModelNotReady, with the reason."""
        if not version and (newest := self._newest.get(name)):
            return newest
        if version.isdecimal() and (served := self._served.get(ModelKey(name, int(version)))):
            return served
        raise self._why_not(name, version)

    def _why_not(self, name: str, version: str) -> ModelMissing | ModelNotReady:
        there = sorted(key.version for key in (*self._served, *self._refused) if key.name == name)
        if not there:
            known = sorted({key.name for key in (*self._served, *self._refused)})
            return ModelMissing(f"no model '{name}' here; there is {_listed(known)}")
        if version and (not version.isdecimal() or int(version) not in there):
            return ModelMissing(f"model '{name}' has no version '{version}' here; there is {_listed(there)}")
        key = ModelKey(name, int(version) if version else there[-1])
        return ModelNotReady(f"version {key.version} of model '{name}' does not serve: {self._refused[key]}")


def _listed(values: list[str] | list[int]) -> str:
    return ", ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values) or "none"
