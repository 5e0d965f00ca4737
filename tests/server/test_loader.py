import os

import numpy as np
import pytest

from models.manifest import FILE
from server.catalogue import Catalogue
from server.loader import Loader
from server.types import Batch, ModelKey
from tests import zoo

GOOD, BAD = ModelKey("good", 1), ModelKey("bad", 1)


class Followed:
    """A loader over a repository, and what it told."""

    def __init__(self, repository, max_sequences: int = 8) -> None:
        self.catalogue = Catalogue()
        self.told: list[ModelKey] = []
        self.loader = Loader(repository, self.catalogue, threads=1, max_sequences=max_sequences, changed=self.changed)

    async def changed(self, key: ModelKey) -> None:
        self.told.append(key)

    def serving(self) -> list[ModelKey]:
        return [model.key for model in self.catalogue.served()]


@pytest.fixture
def followed(repository):
    return Followed(repository)


def damage(place) -> bytes:
    """Change a byte of the graph; the bytes as they were."""
    path = place.folder / zoo.GRAPH
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return data


async def test_a_damaged_model_is_refused_with_the_reason_while_others_serve(repository, followed, caplog):
    zoo.publish(repository, "good", zoo.running_sum())
    damage(zoo.publish(repository, "bad", zoo.running_sum()))
    await followed.loader.poll()
    assert followed.serving() == [GOOD]
    [(key, reason)] = followed.catalogue.refused().items()
    assert key == BAD
    assert zoo.GRAPH in reason
    assert "digest" in reason
    assert str(repository.root) not in reason
    assert sorted(followed.told) == [BAD, GOOD]
    assert [record.model for record in caplog.records if record.levelname == "WARNING"] == ["bad"]


async def test_a_model_that_does_not_give_its_golden_answers_is_refused(repository, followed):
    place = zoo.publish(repository, "bad", zoo.running_sum())
    model = zoo.running_sum()
    answers = {f"out.{name}": array + 1 for name, array in model.answers().items()}
    fed = {f"in.{name}": array for name, array in model.fed.items()}
    zoo.replace_file(place, "golden.npz", zoo.archive(fed | answers))
    await followed.loader.poll()
    assert "golden" in followed.catalogue.refused()[BAD]


async def test_states_that_no_memory_holds_are_refused_and_the_loader_goes_on(repository, caplog):
    followed = Followed(repository, max_sequences=2**60)
    zoo.publish(repository, "bad", zoo.running_sum())
    await followed.loader.poll()
    assert followed.catalogue.refused() == {BAD: "it could not be loaded; the server's log has the cause"}
    assert any(record.exc_info for record in caplog.records)


async def test_an_empty_repository_serves_nothing_and_refuses_nothing(followed):
    await followed.loader.poll()
    assert (followed.serving(), followed.catalogue.refused(), followed.told) == ([], {}, [])


async def test_a_version_published_later_is_picked_up(repository, followed):
    zoo.publish(repository, "good", zoo.running_sum())
    await followed.loader.poll()
    zoo.publish(repository, "good", zoo.running_sum())
    await followed.loader.poll()
    assert followed.serving() == [GOOD, ModelKey("good", 2)]
    assert followed.catalogue.find("good").key.version == 2


async def test_a_version_is_loaded_once(repository, followed):
    zoo.publish(repository, "good", zoo.running_sum())
    await followed.loader.poll()
    served = followed.catalogue.find("good")
    await followed.loader.poll()
    assert followed.catalogue.find("good") is served
    assert followed.told == [GOOD]


async def test_a_refused_version_is_tried_again_only_when_its_manifest_changes(repository, followed):
    place = zoo.publish(repository, "bad", zoo.running_sum())
    whole = damage(place)
    await followed.loader.poll()
    (place.folder / zoo.GRAPH).write_bytes(whole)
    await followed.loader.poll()
    assert (followed.serving(), followed.told) == ([], [BAD])
    os.utime(place.folder / FILE, ns=(1, 1))
    await followed.loader.poll()
    assert (followed.serving(), followed.told) == ([BAD], [BAD, BAD])
    assert followed.catalogue.refused() == {}


async def test_a_folder_without_a_manifest_is_refused(repository, followed):
    (repository.root / "bad" / "1").mkdir(parents=True)
    await followed.loader.poll()
    assert FILE in followed.catalogue.refused()[BAD]


async def test_what_is_loaded_runs_from_its_stored_initial_state(repository, followed):
    zoo.publish(repository, "good", zoo.running_sum(2, [0.5, -1.0]), vocabulary="a\nb")
    await followed.loader.poll()
    model = followed.catalogue.find("good")
    slots = np.array(model.store.allocate(1))
    batch = Batch(slots, np.array([True]), {"x": np.ones((1, 2, 2), np.float32)}, np.array([2]))
    assert model.runtime.run(batch).outputs["y"].tolist() == [[[1.5, 0.0], [2.5, 1.0]]]
    assert model.store.slot_bytes == 8
    assert model.parameters == {
        "digest": model.manifest.files[zoo.GRAPH],
        "batch_invariant": "false",
        "vocabulary": "a\nb",
    }
