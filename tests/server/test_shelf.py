import os
import shutil

import pytest

from models.manifest import FILE
from server.shelf import Shelf
from server.types import ModelKey
from tests import zoo

FIRST, SECOND = ModelKey("sum", 1), ModelKey("sum", 2)


@pytest.fixture
def shelf(repository):
    for _ in range(2):
        zoo.publish(repository, "sum", zoo.running_sum())
    return Shelf(repository)


def test_what_is_published_is_there_by_name_and_version(shelf, repository):
    zoo.publish(repository, "other", zoo.running_sum())
    there = shelf.look([])
    assert {name: sorted(versions) for name, versions in there.items()} == {"sum": [1, 2], "other": [1]}
    assert there["sum"][2].key == SECOND
    assert there["sum"][2].place.folder == repository.root / "sum" / "2"


@pytest.mark.parametrize("file", [FILE, zoo.GRAPH])
def test_changed_files_are_not_those_that_are_known(shelf, repository, file):
    found = shelf.look([])["sum"][1]
    assert not shelf.knows(found)
    shelf.remember(found)
    assert shelf.knows(shelf.look([])["sum"][1])
    os.utime(repository.root / "sum" / "1" / file, ns=(1, 1))
    assert not shelf.knows(shelf.look([])["sum"][1])
    shelf.forget(FIRST)
    assert not shelf.knows(found)


def test_a_held_version_is_gone_with_its_folder_and_not_with_its_repository(shelf, repository):
    for found in shelf.look([])["sum"].values():
        shelf.remember(found)
    shutil.rmtree(repository.root / "sum" / "2")
    assert list(shelf.look([FIRST, SECOND])["sum"]) == [1]
    away = repository.root.with_name("away")
    repository.root.rename(away)
    assert shelf.look([]) == {}
    assert list(shelf.look([FIRST])["sum"]) == [1]
    repository.root.mkdir()
    assert shelf.look([FIRST]) == {}


def test_a_version_that_is_held_and_was_never_seen_is_not_there(shelf):
    assert shelf.look([ModelKey("memory", 1)]).keys() == {"sum"}
