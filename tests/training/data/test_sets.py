import pytest

from training.data.loaders import LOADERS
from training.data.sets import File, Listing, Source, is_right, published


def test_every_set_has_a_loader_and_every_loader_a_set():
    assert list(published()) == list(LOADERS)


@pytest.mark.parametrize("name", published())
def test_every_file_is_what_the_table_says(name, data_folder):
    folder = data_folder(name)
    for source in published()[name].sources:
        assert [file.path for file in source.files if not is_right(folder / file.path, file)] == []
        assert source.listing is None or source.listing.matches(folder)


@pytest.mark.parametrize("name", published())
def test_every_repository_and_commit_is_one_that_the_sets_own_note_names(name, data_folder):
    note = (data_folder(name) / "SOURCE.txt").read_text(encoding="utf-8")
    for source in published()[name].sources:
        assert source.repository in note
        assert source.commit in note


@pytest.mark.parametrize("name", published())
def test_a_set_says_its_task_licence_citation_and_split(name):
    data_set = published()[name]
    assert all([data_set.task, data_set.licence, data_set.citation, data_set.split, data_set.counts])
    assert all(len(source.commit) == 40 for source in data_set.sources)


def test_a_file_is_at_its_path_in_the_sources_folder_unless_it_says_where():
    source = Source("who/what", "c0ffee", "data", ())
    assert source.addresses(File("a.txt")) == ["who/what/c0ffee/data/a.txt"]
    assert source.addresses(File("a.txt", source="LICENSE")) == ["who/what/c0ffee/LICENSE"]
    assert Source("who/what", "c0ffee", "").addresses(File("a.txt")) == ["who/what/c0ffee/a.txt"]


def test_a_file_of_pieces_has_an_address_for_each():
    source = Source("who/what", "c0ffee", "data", ())
    assert source.addresses(File("a", source="b_{}.png", pieces=2)) == [
        "who/what/c0ffee/b_0.png",
        "who/what/c0ffee/b_1.png",
    ]


def test_a_listing_has_every_choice_in_the_order_of_the_paths():
    assert Listing("", "{}/{}.wav", (("1", "0"), ("a", "10", "2"))).paths() == [
        "0/10.wav",
        "0/2.wav",
        "0/a.wav",
        "1/10.wav",
        "1/2.wav",
        "1/a.wav",
    ]


def test_a_listing_matches_while_every_file_is_there_and_unchanged(tmp_path):
    # printf a >a.txt; printf b >b.txt; sha256sum a.txt b.txt | sha256sum
    listing = Listing("954ed440fe7160a5afe9e15cd631146fd8f3cc5ba95981b7f91d413f005c695f", "{}.txt", (("a", "b"),))
    (tmp_path / "a.txt").write_text("a")
    assert not listing.matches(tmp_path)
    (tmp_path / "b.txt").write_text("b")
    assert listing.matches(tmp_path)
    (tmp_path / "b.txt").write_text("c")
    assert not listing.matches(tmp_path)


def test_a_file_that_is_missing_or_changed_is_not_right(tmp_path):
    file = File("a.txt", 1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")
    assert not is_right(tmp_path / "a.txt", file)
    (tmp_path / "a.txt").write_text("b")
    assert not is_right(tmp_path / "a.txt", file)
    (tmp_path / "a.txt").write_text("a")
    assert is_right(tmp_path / "a.txt", file)
