import itertools
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import msgspec
import pytest

from models.errors import ManifestInvalid, ModelDamaged, ModelError, ModelMissing
from models.manifest import FILE, GOLDEN
from models.repository import Repository
from tests import zoo

SPAWN = multiprocessing.get_context("spawn")
MODEL = zoo.ledger()
ROUNDS = 30


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    for name, data in MODEL.files().items():
        (folder / name).write_bytes(data)
    return {path.name: path for path in folder.iterdir()}


def everything_in(repository):
    return sorted(path for path in repository.root.rglob("*"))


def described_as(name):
    return lambda version, digests: MODEL.manifest(name, version, digests)


def versions_of(repository):
    return [(place.name, place.version) for place in repository.list()]


def test_a_repository_that_does_not_exist_is_empty(repository):
    assert repository.list() == []
    assert not repository.root.exists()


def test_each_publish_gives_the_next_version(repository):
    places = [zoo.publish(repository, "ledger", MODEL) for _ in range(3)]
    assert [place.version for place in places] == [1, 2, 3]
    assert repository.list() == places


def test_names_count_their_versions_apart(repository):
    zoo.publish(repository, "b", MODEL)
    zoo.publish(repository, "a", MODEL)
    zoo.publish(repository, "b", MODEL)
    assert versions_of(repository) == [("a", 1), ("b", 1), ("b", 2)]


def test_what_was_published_is_what_is_opened(repository):
    opened = repository.open(zoo.publish(repository, "ledger", MODEL, vocabulary="ab"))
    assert opened.files == MODEL.files() | {"vocabulary.txt": b"ab"}
    assert opened.size == sum(map(len, opened.files.values()))
    assert (opened.manifest.name, opened.manifest.version, opened.manifest.vocabulary) == (
        "ledger",
        1,
        "vocabulary.txt",
    )


def test_a_published_version_is_for_everyone_to_read(repository):
    assert zoo.publish(repository, "ledger", MODEL).folder.stat().st_mode & 0o777 == 0o755


def test_the_newest_version_is_found_by_number_not_by_letters(repository):
    for _ in range(11):
        zoo.publish(repository, "ledger", MODEL)
    assert repository.find("ledger").version == 11
    assert repository.find("ledger", 9).version == 9


@pytest.mark.parametrize("name", ["other", "", "..", ".", "ledger/1", "../models/ledger", "LEDGER"])
def test_a_name_that_is_not_there_is_missing(repository, name):
    zoo.publish(repository, "ledger", MODEL)
    with pytest.raises(ModelMissing, match=f"no model '{name}'"):
        repository.find(name)


def test_a_version_that_is_not_there_is_missing_and_the_others_are_named(repository):
    for _ in range(2):
        zoo.publish(repository, "ledger", MODEL)
    with pytest.raises(ModelMissing, match=r"model 'ledger' has no version 3 in .*; it has 1, 2"):
        repository.find("ledger", 3)


@pytest.mark.parametrize("folder", ["ledger/01", "ledger/one", "ledger/-1", "ledger/\u0661", ".publishing-x/1", "1"])
def test_other_folders_are_not_versions(repository, folder):
    (repository.root / folder).mkdir(parents=True)
    assert repository.list() == []


def test_a_file_is_no_version(repository):
    place = zoo.publish(repository, "ledger", MODEL)
    (place.folder.parent / "2").write_text("not a folder")
    (repository.root / "notes.txt").write_text("not a model")
    assert repository.list() == [place]


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "/root", ".hidden", "-flag", "a b", "a" * 129, "a\n"])
def test_a_name_that_cannot_be_a_folder_is_not_published(repository, name):
    with pytest.raises(ManifestInvalid, match="must be 1 to 128 letters"):
        zoo.publish(repository, name, MODEL)
    assert not repository.root.exists()


@pytest.mark.parametrize("file", ["../escaped.onnx", "..", "deep/model.onnx", "/escaped.onnx", FILE, ""])
def test_a_file_that_would_lie_elsewhere_is_not_published(repository, sources, file):
    with pytest.raises(ManifestInvalid, match=f"files names '{file}'"):
        repository.publish("ledger", {**sources, file: sources[GOLDEN]}, described_as("ledger"))
    assert not repository.root.exists()


def _raise(*_):
    raise KeyError("a fault of the publisher")


FAULTS = {
    "describing raises": (KeyError, _raise),
    "the manifest is of another model": (ManifestInvalid, described_as("other")),
    "the manifest is of another version": (ManifestInvalid, lambda _, digests: MODEL.manifest("ledger", 9, digests)),
    "the manifest breaks the contract": (
        ManifestInvalid,
        lambda version, digests: msgspec.structs.replace(MODEL.manifest("ledger", version, digests), kind="steps"),
    ),
}


@pytest.mark.parametrize(("error", "describe"), FAULTS.values(), ids=FAULTS.keys())
def test_a_publish_that_fails_leaves_nothing(repository, sources, error, describe):
    with pytest.raises(error):
        repository.publish("ledger", sources, describe)
    assert everything_in(repository) == []


def test_a_publish_without_one_of_its_files_leaves_nothing(repository, sources):
    sources[GOLDEN].unlink()
    with pytest.raises(FileNotFoundError):
        repository.publish("ledger", sources, described_as("ledger"))
    assert everything_in(repository) == []


def test_a_publish_that_fails_leaves_earlier_versions_as_they_were(repository, sources):
    place = zoo.publish(repository, "ledger", MODEL)
    before = everything_in(repository)
    with pytest.raises(KeyError):
        repository.publish("ledger", sources, _raise)
    assert everything_in(repository) == before
    assert repository.open(place).files == MODEL.files()


def _die(*_):
    os._exit(9)


def _publish_and_die(root, sources):
    Repository(root).publish("ledger", sources, _die)


def test_a_publisher_that_dies_leaves_no_version(repository, sources):
    process = SPAWN.Process(target=_publish_and_die, args=(repository.root, sources))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert repository.list() == []
    assert zoo.publish(repository, "ledger", MODEL).version == 1


def test_a_number_taken_while_publishing_is_left_to_who_took_it(repository, sources):
    described = []

    def describe(version, digests):
        if not described:
            zoo.publish(repository, "ledger", zoo.running_sum())
        described.append(version)
        return MODEL.manifest("ledger", version, digests)

    place = repository.publish("ledger", sources, describe)
    assert described == [1, 2]
    assert place.version == 2
    assert [repository.read_manifest(found).architecture for found in repository.list()] == ["running_sum", "ledger"]


def _publish_many(root, tag):
    return [zoo.publish(Repository(root), "ledger", MODEL, vocabulary=tag).version for _ in range(ROUNDS)]


def test_publishers_in_two_processes_never_take_each_others_place(repository):
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        taken = dict(zip("ab", pool.map(_publish_many, itertools.repeat(repository.root), "ab"), strict=True))
    assert sorted(taken["a"] + taken["b"]) == list(range(1, 2 * ROUNDS + 1))
    for tag, versions in taken.items():
        for version in versions:
            assert repository.open(repository.find("ledger", version)).files["vocabulary.txt"] == tag.encode()


def test_a_reader_never_sees_half_a_model(repository):
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        published = pool.submit(_publish_many, repository.root, "a")
        opened, ended = 0, False
        while not ended:
            ended = published.done()
            places = repository.list()
            assert [place.version for place in places] == list(range(1, len(places) + 1))
            for place in places[opened:]:
                assert repository.open(place).files["vocabulary.txt"] == b"a"
            opened = len(places)
    assert published.result() == list(range(1, opened + 1))


@pytest.mark.parametrize("file", MODEL.files())
def test_a_file_that_changed_is_named(repository, file):
    place = zoo.publish(repository, "ledger", MODEL)
    data = bytearray((place.folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (place.folder / file).write_bytes(data)
    with pytest.raises(ModelDamaged, match=f"{file} is not the file that was published"):
        repository.open(place)


@pytest.mark.parametrize("file", [FILE, *MODEL.files()])
def test_a_file_that_is_absent_is_named(repository, file):
    place = zoo.publish(repository, "ledger", MODEL)
    (place.folder / file).unlink()
    with pytest.raises(ModelDamaged, match=f"{file}.* cannot be read: No such file"):
        repository.open(place)


def test_a_folder_in_a_files_place_is_named(repository):
    place = zoo.publish(repository, "ledger", MODEL)
    (place.folder / GOLDEN).unlink()
    (place.folder / GOLDEN).mkdir()
    with pytest.raises(ModelDamaged, match=f"{GOLDEN} cannot be read: Is a directory"):
        repository.open(place)


def test_a_manifest_cut_short_is_refused_at_every_length(repository):
    place = zoo.publish(repository, "ledger", MODEL)
    whole = (place.folder / FILE).read_bytes().rstrip()
    for length in range(0, len(whole), 7):
        (place.folder / FILE).write_bytes(whole[:length])
        with pytest.raises(ManifestInvalid):
            repository.open(place)


def test_a_manifest_that_reaches_out_of_its_folder_is_refused(repository):
    place = zoo.publish(repository, "ledger", MODEL)
    document = json.loads((place.folder / FILE).read_bytes())
    document["files"]["../2/model.onnx"] = document["files"]["model.onnx"]
    (place.folder / FILE).write_text(json.dumps(document))
    with pytest.raises(ManifestInvalid, match=r"files names '\.\./2/model\.onnx'"):
        repository.open(place)


@pytest.mark.parametrize("folder", ["ledger/7", "other/1"])
def test_a_manifest_in_the_folder_of_another_is_refused(repository, folder):
    place = zoo.publish(repository, "ledger", MODEL)
    (repository.root / folder).parent.mkdir(exist_ok=True)
    place.folder.rename(repository.root / folder)
    (moved,) = repository.list()
    with pytest.raises(
        ManifestInvalid, match=rf"says it is 'ledger' 1, in the folder of '{moved.name}' {moved.version}"
    ):
        repository.open(moved)


def test_a_version_taken_away_while_it_is_read_is_damaged_not_a_crash(repository, tmp_path):
    place = zoo.publish(repository, "ledger", MODEL)
    place.folder.rename(tmp_path / "away")
    with pytest.raises(ModelError, match="cannot be read"):
        repository.open(place)
