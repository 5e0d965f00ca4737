import asyncio

import pytest

from server.catalogue import Catalogue, ServedModel
from server.control import Control
from server.errors import ControlRefused, LoadFailed, ModelMissing
from server.types import ModelKey


class FakeLoader:
    """Answers as a test says, once it is let."""

    def __init__(self, failed=None, *, known: bool = True) -> None:
        self.failed = failed
        self.known = known
        self.done: list[str] = []
        self.begun, self.let = asyncio.Event(), asyncio.Event()
        self.let.set()

    async def load(self, name):
        self.begun.set()
        await self.let.wait()
        self.done.append(name)
        return self.failed

    async def unload(self, name):
        self.done.append(name)
        return self.known


def control(loader: FakeLoader, *, explicit: bool = True, serving: tuple[int, ...] = ()) -> Control:
    catalogue = Catalogue()
    for version in serving:
        catalogue.add(ServedModel(ModelKey("charlm", version), None, None, None))
    return Control(loader, catalogue, explicit=explicit)


async def test_clients_may_not_ask_where_the_server_follows_its_repository():
    loader = FakeLoader({})
    with pytest.raises(ControlRefused, match="RepositoryModelLoad needs one started with --control explicit"):
        await control(loader, explicit=False).load("charlm")
    with pytest.raises(ControlRefused, match="RepositoryModelUnload needs one started with --control explicit"):
        await control(loader, explicit=False).unload("charlm")
    assert loader.done == []


async def test_a_model_is_loaded_and_unloaded():
    loader = FakeLoader({})
    await control(loader).load("charlm")
    await control(loader).unload("other")
    assert loader.done == ["charlm", "other"]


async def test_what_is_not_there_is_missing():
    with pytest.raises(ModelMissing, match="no model 'charlm' in the repository"):
        await control(FakeLoader(None)).load("charlm")
    with pytest.raises(ModelMissing, match="no model 'charlm' here to unload"):
        await control(FakeLoader(known=False)).unload("charlm")


async def test_a_failed_load_tells_why_and_what_serves_instead():
    failed = {3: "its digest differs", 2: "it is late"}
    with pytest.raises(
        LoadFailed, match=r"'charlm' could not .*: version 2: it is late; version 3: its digest differs$"
    ):
        await control(FakeLoader(failed)).load("charlm")
    with pytest.raises(LoadFailed, match=r"its digest differs; version 1 serves$"):
        await control(FakeLoader(failed), serving=(1,)).load("charlm")


@pytest.mark.parametrize("failed", [{}, {1: "its digest differs"}])
async def test_a_load_goes_on_when_its_client_has_gone(failed):
    loader = FakeLoader(failed)
    loader.let.clear()
    asked = asyncio.create_task(control(loader).load("charlm"))
    await loader.begun.wait()
    asked.cancel()
    await asyncio.wait([asked])
    assert asked.cancelled()
    loader.let.set()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(others, timeout=10)
    assert loader.done == ["charlm"]
