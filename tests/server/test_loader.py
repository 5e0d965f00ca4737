import asyncio
import math
import os
import shutil
import threading

import numpy as np
import pytest

from models.errors import ModelDamaged
from models.loading import load_checked
from models.manifest import FILE, Measured
from models.repository import ModelVersion, Repository
from server import loader as loading
from server.catalogue import Catalogue, State
from server.loader import ASKED, DELETED, NOT_ASKED, NOT_NAMED, NOT_THERE, STILL_ENDING, Loader
from server.settings import read_settings
from server.types import ModelKey
from tests import zoo

GOOD, BAD = ModelKey("good", 1), ModelKey("bad", 1)
FIRST, SECOND, THIRD = (ModelKey("good", version) for version in (1, 2, 3))
PATIENCE_SECONDS = 10


class Living:
    """Sequences as a test counts them."""

    def __init__(self) -> None:
        self.counts: dict[ModelKey, int] = {}
        self.ended: list[ModelKey] = []

    def live(self, key: ModelKey) -> int:
        return self.counts.get(key, 0)

    async def end_all(self, key: ModelKey, how: str) -> None:
        if self.counts.pop(key, 0):
            self.ended.append(key)


class Followed:
    """A loader over a repository, with a hand clock, and what it told."""

    def __init__(self, repository, *flags: str) -> None:
        self.now = 0.0
        self.catalogue = Catalogue()
        self.living = Living()
        self.told: list[ModelKey] = []
        self.news = asyncio.Event()
        self.breaks: set[ModelKey] = set()
        self.deadly: set[ModelKey] = set()
        settings = read_settings(flags, {})
        self.loader = Loader(
            repository,
            self.catalogue,
            self.living,
            settings,
            changed=self.changed,
            probe=self.probe,
            left=lambda _name, _store: math.inf,
            clock=lambda: self.now,
        )

    def probe(self, _: Repository, place: ModelVersion) -> None:
        if ModelKey(place.name, place.version) in self.deadly:
            raise ModelDamaged("the process died")

    async def changed(self, key: ModelKey) -> None:
        if key in self.breaks:
            raise RuntimeError(key)
        self.told.append(key)
        self.news.set()

    async def served(self, key: ModelKey) -> None:
        while key not in self.serving():
            self.news.clear()
            await self.news.wait()

    async def poll(self) -> None:
        await self.loader.poll()

    async def sweep(self) -> None:
        await self.loader.retirement.sweep()

    def serving(self) -> list[ModelKey]:
        return [model.key for model in self.catalogue.served()]

    def states(self) -> dict[int, State]:
        """The states of the versions of `good`."""
        return {key.version: standing.state for key, standing in self.catalogue.standings("good").items()}

    def reason(self, key: ModelKey) -> str:
        return self.catalogue.standings()[key].reason


@pytest.fixture
def followed(repository):
    return Followed(repository)


@pytest.fixture
def asked(repository):
    return Followed(repository, "--control", "explicit", "--drain-seconds", "10")


def publish(repository, name: str = "good"):
    return zoo.publish(repository, name, zoo.running_sum())


def damage(place) -> bytes:
    """Change a byte of the graph; the bytes as they were."""
    path = place.folder / zoo.GRAPH
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return data


async def test_a_damaged_model_is_refused_with_the_reason_while_others_serve(repository, followed, caplog):
    publish(repository)
    damage(publish(repository, "bad"))
    await followed.poll()
    assert followed.serving() == [GOOD]
    [(key, reason)] = followed.catalogue.refused().items()
    assert key == BAD
    assert zoo.GRAPH in reason
    assert "digest" in reason
    assert str(repository.root) not in reason
    assert sorted(followed.told) == [BAD, GOOD]
    assert [record.model for record in caplog.records if record.levelname == "WARNING"] == ["bad"]


async def test_a_model_that_does_not_give_its_golden_answers_is_refused(repository, followed):
    place = publish(repository, "bad")
    model = zoo.running_sum()
    answers = {f"out.{name}": array + 1 for name, array in model.answers().items()}
    fed = {f"in.{name}": array for name, array in model.fed.items()}
    zoo.replace_file(place, "golden.npz", zoo.archive(fed | answers))
    await followed.poll()
    assert "golden" in followed.catalogue.refused()[BAD]


async def test_a_model_that_its_probe_refuses_is_never_loaded_here(repository, followed, monkeypatch):
    loaded: list[str] = []
    load_checked = loading.load_checked

    def load_and_tell(repository, place, **named):
        loaded.append(place.name)
        return load_checked(repository, place, **named)

    monkeypatch.setattr(loading, "load_checked", load_and_tell)
    for name in ("bad", "good"):
        publish(repository, name)
    followed.deadly.add(BAD)
    await followed.poll()
    assert (followed.serving(), followed.catalogue.refused()) == ([GOOD], {BAD: "the process died"})
    assert loaded == ["good"]


async def test_what_is_not_served_is_refused_by_name_before_its_graph_is_loaded(repository, followed):
    place = zoo.publish(repository, "bad", zoo.running_sum(), kind="sequence")
    zoo.replace_file(place, zoo.GRAPH, b"not a graph")
    await followed.poll()
    expected = (
        "manifest field states of kind 'sequence', which begins nowhere but at the beginning, "
        "is not served by this version of Recur"
    )
    assert followed.catalogue.refused() == {BAD: expected}


async def test_states_that_no_memory_holds_are_refused_and_the_loader_goes_on(repository, caplog):
    followed = Followed(repository, "--max-sequences", str(2**60))
    publish(repository, "bad")
    await followed.poll()
    assert followed.catalogue.refused() == {BAD: "it could not be loaded; the server's log has the cause"}
    assert any(record.exc_info for record in caplog.records)


async def test_an_empty_repository_serves_nothing_and_refuses_nothing(followed):
    await followed.poll()
    assert (followed.serving(), followed.catalogue.refused(), followed.told) == ([], {}, [])


async def test_a_version_is_loaded_once(repository, followed):
    publish(repository)
    await followed.poll()
    served = followed.catalogue.find("good")
    await followed.poll()
    assert followed.catalogue.find("good") is served
    assert followed.told == [GOOD]


async def test_a_refused_version_is_tried_again_only_when_its_files_change(repository, followed):
    place = publish(repository, "bad")
    whole = damage(place)
    await followed.poll()
    await followed.poll()
    assert (followed.serving(), followed.told) == ([], [BAD])
    (place.folder / zoo.GRAPH).write_bytes(whole)
    os.utime(place.folder / zoo.GRAPH, ns=(1, 1))
    await followed.poll()
    assert (followed.serving(), followed.told) == ([BAD], [BAD, BAD])
    assert followed.catalogue.refused() == {}


async def test_a_folder_without_a_manifest_is_refused(repository, followed):
    (repository.root / "bad" / "1").mkdir(parents=True)
    await followed.poll()
    assert FILE in followed.catalogue.refused()[BAD]


async def test_only_the_newest_of_several_versions_is_loaded(repository, followed):
    for _ in range(3):
        publish(repository)
    await followed.poll()
    assert followed.told == [THIRD]
    assert followed.states() == {1: State.UNLOADED, 2: State.UNLOADED, 3: State.SERVING}
    assert followed.reason(FIRST) == "version 3 serves in its place"


async def test_a_bad_newest_version_leaves_the_one_before_serving(repository, followed):
    publish(repository)
    damage(publish(repository))
    await followed.poll()
    assert followed.states() == {1: State.SERVING, 2: State.REFUSED}
    damage(publish(repository))
    await followed.poll()
    assert followed.states() == {1: State.SERVING, 2: State.REFUSED, 3: State.REFUSED}
    assert "digest" in followed.reason(THIRD)
    assert followed.catalogue.find("good").key == FIRST


async def test_a_new_version_takes_the_new_sequences_and_the_old_goes_with_its_last(repository, followed):
    publish(repository)
    await followed.poll()
    followed.living.counts[FIRST] = 1
    publish(repository)
    await followed.poll()
    await followed.sweep()
    assert followed.states() == {1: State.RETIRING, 2: State.SERVING}
    assert followed.catalogue.find("good", "1", new=False).key == FIRST
    followed.now = 1e9
    await followed.poll()
    await followed.sweep()
    assert followed.states()[1] is State.RETIRING
    followed.living.counts[FIRST] = 0
    await followed.sweep()
    assert followed.states() == {1: State.UNLOADED, 2: State.SERVING}
    assert FIRST not in followed.catalogue
    await followed.poll()
    assert (followed.serving(), followed.living.ended) == ([SECOND], [])


async def test_the_old_version_serves_while_the_new_one_is_being_checked(repository, followed, monkeypatch):
    publish(repository)
    await followed.poll()
    held, reached = hold_loading(monkeypatch)
    publish(repository)
    polling = asyncio.create_task(followed.poll())
    await asyncio.wait_for(asyncio.to_thread(reached.wait, PATIENCE_SECONDS), PATIENCE_SECONDS)
    assert followed.states() == {1: State.SERVING, 2: State.LOADING}
    assert followed.catalogue.find("good").key == FIRST
    held.set()
    await polling
    assert followed.states() == {1: State.RETIRING, 2: State.SERVING}


async def test_a_model_published_while_another_loads_is_not_missed(repository, followed, monkeypatch):
    publish(repository)
    held, reached = hold_loading(monkeypatch)
    polling = asyncio.create_task(followed.poll())
    await asyncio.wait_for(asyncio.to_thread(reached.wait, PATIENCE_SECONDS), PATIENCE_SECONDS)
    publish(repository, "other")
    held.set()
    await polling
    await followed.poll()
    assert followed.serving() == [GOOD, ModelKey("other", 1)]


def hold_loading(monkeypatch) -> tuple[threading.Event, threading.Event]:
    """Let loading wait in its thread: the event that lets it go on, and the one that tells it has begun."""
    held, reached, load_checked = threading.Event(), threading.Event(), loading.load_checked

    def wait_and_load(*given, **named):
        reached.set()
        assert held.wait(PATIENCE_SECONDS)
        return load_checked(*given, **named)

    monkeypatch.setattr(loading, "load_checked", wait_and_load)
    return held, reached


async def test_a_deleted_version_retires_and_the_one_before_takes_its_place(repository, followed):
    publish(repository)
    second = publish(repository)
    await followed.poll()
    followed.living.counts[SECOND] = 1
    shutil.rmtree(second.folder)
    await followed.poll()
    assert followed.states() == {1: State.SERVING, 2: State.RETIRING}
    assert followed.reason(SECOND) == DELETED
    followed.living.counts[SECOND] = 0
    await followed.sweep()
    await followed.poll()
    assert followed.states() == {1: State.SERVING}


async def test_a_deleted_model_is_forgotten_when_its_last_sequence_is_gone(repository, followed):
    publish(repository)
    await followed.poll()
    shutil.rmtree(repository.root / "good")
    await followed.poll()
    assert followed.states() == {1: State.RETIRING}
    await followed.sweep()
    await followed.poll()
    assert followed.states() == {}
    assert followed.told == [FIRST] * 4


async def test_a_refused_version_that_is_deleted_is_forgotten(repository, followed):
    place = publish(repository)
    damage(place)
    await followed.poll()
    shutil.rmtree(place.folder)
    await followed.poll()
    assert followed.states() == {}


async def test_a_repository_that_goes_away_for_a_while_takes_no_model_with_it(repository, followed):
    publish(repository)
    await followed.poll()
    away = repository.root.with_name("away")
    repository.root.rename(away)
    await followed.poll()
    assert followed.serving() == [GOOD]
    away.rename(repository.root)
    await followed.poll()
    assert (followed.serving(), followed.told) == ([GOOD], [GOOD])


async def test_a_deleted_version_that_comes_back_serves_again(repository, followed, tmp_path):
    place = publish(repository)
    await followed.poll()
    followed.living.counts[FIRST] = 1
    served = followed.catalogue[FIRST]
    shutil.move(place.folder, tmp_path / "kept")
    await followed.poll()
    shutil.move(tmp_path / "kept", place.folder)
    await followed.poll()
    assert followed.states() == {1: State.SERVING}
    assert followed.catalogue[FIRST] is served


async def test_other_files_under_the_number_of_a_retiring_version_wait_for_its_end(repository, followed):
    place = publish(repository)
    await followed.poll()
    followed.living.counts[FIRST] = 1
    served = followed.catalogue[FIRST]
    shutil.rmtree(place.folder)
    await followed.poll()
    publish(repository)
    os.utime(place.folder / FILE, ns=(1, 1))
    await followed.poll()
    assert followed.states() == {1: State.RETIRING}
    followed.living.counts[FIRST] = 0
    await followed.sweep()
    await followed.poll()
    assert followed.states() == {1: State.SERVING}
    assert followed.catalogue[FIRST] is not served


async def test_all_versions_serve_side_by_side_where_the_settings_say_so(repository):
    followed = Followed(repository, "--versions", "all")
    for _ in range(2):
        publish(repository)
    await followed.poll()
    publish(repository)
    await followed.poll()
    assert followed.serving() == [FIRST, SECOND, THIRD]
    assert followed.catalogue.find("good").key == THIRD


async def test_the_versions_that_the_settings_name_serve_and_one_that_is_not_there_is_refused(repository, tmp_path):
    config = tmp_path / "recur.toml"
    config.write_text("[models.good]\nversions = [1, 3]\n")
    followed = Followed(repository, "--config", str(config))
    for name in ("good", "good", "other", "other"):
        publish(repository, name)
    await followed.poll()
    assert followed.states() == {1: State.SERVING, 2: State.UNLOADED, 3: State.REFUSED}
    assert (followed.reason(SECOND), followed.reason(THIRD)) == (NOT_NAMED, NOT_THERE)
    assert followed.serving() == [FIRST, ModelKey("other", 2)]
    told = len(followed.told)
    await followed.poll()
    assert len(followed.told) == told
    publish(repository)
    await followed.poll()
    assert followed.states() == {1: State.SERVING, 2: State.UNLOADED, 3: State.SERVING}


async def test_one_model_that_breaks_the_loader_does_not_stop_the_others(repository, followed, caplog):
    for name in ("bad", "good"):
        publish(repository, name)
    followed.breaks.add(BAD)
    await followed.poll()
    assert GOOD in followed.serving()
    assert [record.model for record in caplog.records if record.exc_info] == ["bad"]


async def test_a_repository_that_cannot_be_read_is_tried_again(repository, followed, monkeypatch, caplog):
    publish(repository)
    with monkeypatch.context() as patch:
        patch.setattr(type(repository), "list", lambda self: 1 / 0)
        await followed.poll()
    assert "the repository cannot be read" in caplog.text
    await followed.poll()
    assert followed.serving() == [GOOD]


async def test_following_goes_on_until_it_is_cancelled(repository, followed):
    following = asyncio.create_task(followed.loader.follow(0.001))
    for number in range(1, 3):
        publish(repository)
        await asyncio.wait_for(followed.served(ModelKey("good", number)), PATIENCE_SECONDS)
    following.cancel()
    await asyncio.wait([following])
    assert following.cancelled()


async def test_under_control_nothing_serves_that_nobody_asked_for(repository, asked):
    publish(repository)
    await asked.poll()
    assert asked.states() == {1: State.UNLOADED}
    assert asked.reason(FIRST) == NOT_ASKED
    assert await asked.loader.load("good") == {}
    publish(repository)
    await asked.poll()
    assert asked.states() == {1: State.SERVING, 2: State.UNLOADED}
    assert await asked.loader.load("good") == {}
    assert asked.states() == {1: State.RETIRING, 2: State.SERVING}


async def test_under_control_a_deleted_version_goes_on_serving(repository, asked):
    place = publish(repository)
    await asked.loader.load("good")
    shutil.rmtree(place.folder)
    await asked.poll()
    assert asked.serving() == [FIRST]


async def test_the_named_models_are_loaded_at_the_start_or_when_they_come(repository):
    followed = Followed(repository, "--control", "explicit", "--load", "good,later")
    publish(repository)
    publish(repository, "other")
    await followed.poll()
    assert followed.serving() == [GOOD]
    assert followed.loader.awaited == {"later"}
    publish(repository, "later")
    publish(repository)
    await followed.poll()
    assert followed.serving() == [GOOD, ModelKey("later", 1)]
    assert followed.loader.awaited == set()


async def test_a_named_model_that_is_unloaded_before_it_comes_is_not_loaded(repository):
    followed = Followed(repository, "--control", "explicit", "--load", "good,other")
    assert await followed.loader.unload("good")
    publish(repository)
    publish(repository, "other")
    await followed.loader.load("other")
    assert followed.loader.awaited == set()
    await followed.poll()
    assert followed.serving() == [ModelKey("other", 1)]


async def test_a_load_tells_what_failed_and_tries_it_again_each_time(repository, asked):
    publish(repository)
    place = publish(repository)
    whole = damage(place)
    failed = await asked.loader.load("good")
    assert list(failed) == [2]
    assert "digest" in failed[2]
    assert asked.states() == {1: State.SERVING, 2: State.REFUSED}
    stamp = (place.folder / zoo.GRAPH).stat().st_mtime_ns
    (place.folder / zoo.GRAPH).write_bytes(whole)
    os.utime(place.folder / zoo.GRAPH, ns=(stamp, stamp))
    assert await asked.loader.load("good") == {}
    assert asked.serving() == [SECOND]


async def test_a_model_that_is_nowhere_is_neither_loaded_nor_unloaded(asked):
    assert await asked.loader.load("good") is None
    assert await asked.loader.load("") is None
    assert not await asked.loader.unload("good")
    assert not await asked.loader.unload("")


async def test_unloading_drains_what_lives_and_ends_it_when_the_time_is_over(repository, asked):
    for name in ("good", "other"):
        publish(repository, name)
        await asked.loader.load(name)
    asked.living.counts[FIRST] = 2
    assert await asked.loader.unload("good")
    assert asked.states() == {1: State.RETIRING}
    assert asked.reason(FIRST) == ASKED
    asked.now = 9.9
    await asked.sweep()
    assert (asked.states(), asked.living.ended) == ({1: State.RETIRING}, [])
    asked.now = 10.0
    await asked.sweep()
    assert (asked.states(), asked.living.ended) == ({1: State.UNLOADED}, [FIRST])
    await asked.poll()
    assert asked.reason(FIRST) == ASKED
    assert asked.serving() == [ModelKey("other", 1)]


async def test_unloading_ends_the_versions_that_retire_already_too(repository, asked):
    publish(repository)
    await asked.loader.load("good")
    asked.living.counts[FIRST] = 1
    publish(repository)
    await asked.loader.load("good")
    await asked.loader.unload("good")
    assert asked.states() == {1: State.RETIRING, 2: State.UNLOADED}
    asked.now = 10.0
    await asked.sweep()
    assert asked.states() == {1: State.UNLOADED, 2: State.UNLOADED}


async def test_unloading_forgets_why_a_version_was_refused(repository, asked):
    damage(publish(repository))
    await asked.loader.load("good")
    assert await asked.loader.unload("good")
    assert asked.states() == {1: State.UNLOADED}
    assert asked.catalogue.refused() == {}


async def test_a_model_loaded_while_it_is_being_unloaded_serves_on(repository, asked):
    publish(repository)
    await asked.loader.load("good")
    asked.living.counts[FIRST] = 1
    await asked.loader.unload("good")
    assert await asked.loader.load("good") == {}
    asked.now = 100.0
    await asked.sweep()
    assert (asked.states(), asked.living.ended) == ({1: State.SERVING}, [])


async def test_other_files_cannot_be_loaded_while_what_had_their_number_ends(repository, asked):
    place = publish(repository)
    await asked.loader.load("good")
    asked.living.counts[FIRST] = 1
    await asked.loader.unload("good")
    os.utime(place.folder / FILE, ns=(1, 1))
    assert await asked.loader.load("good") == {1: STILL_ENDING}
    assert asked.states() == {1: State.RETIRING}


async def test_a_model_is_unloaded_after_the_load_that_was_asked_for_before(repository, asked, monkeypatch):
    publish(repository)
    held, reached = hold_loading(monkeypatch)
    load = asyncio.create_task(asked.loader.load("good"))
    await asyncio.wait_for(asyncio.to_thread(reached.wait, PATIENCE_SECONDS), PATIENCE_SECONDS)
    unload = asyncio.create_task(asked.loader.unload("good"))
    held.set()
    await asyncio.gather(load, unload)
    assert asked.states() == {1: State.UNLOADED}


async def test_what_is_loaded_begins_at_its_stored_initial_state(repository, followed):
    zoo.publish(repository, "good", zoo.running_sum(2, [0.5, -1.0]), vocabulary="a\nb")
    await followed.poll()
    model = followed.catalogue.find("good")
    [initial] = model.store.gather(np.array(model.store.allocate(1)), np.array([True])).fixed.values()
    assert initial.tolist() == [[0.5, -1.0]]
    assert model.parameters == {
        "digest": model.manifest.files[zoo.GRAPH],
        "batch_invariant": "false",
        "kind": "step",
        "vocabulary": "a\nb",
    }


@pytest.mark.parametrize(("device", "promised"), [("cpu", "true"), ("cuda", "false")])
async def test_what_was_measured_on_a_cpu_is_promised_there_alone(repository, monkeypatch, device, promised):
    monkeypatch.setattr(loading, "load_checked", lambda *args, **_: load_checked(*args))
    zoo.publish(repository, "good", zoo.running_sum(), measured=Measured(batch_invariant=True))
    followed = Followed(repository, "--device", device)
    await followed.poll()
    assert followed.catalogue.find("good").parameters["batch_invariant"] == promised


async def test_a_model_is_loaded_on_the_device_of_the_settings(repository):
    zoo.publish(repository, "good", zoo.running_sum())
    followed = Followed(repository, "--device", "cuda:1")
    await followed.poll()
    assert followed.catalogue.refused()[GOOD].startswith("device 'cuda:1' needs ONNX Runtime with its CUDA provider")
