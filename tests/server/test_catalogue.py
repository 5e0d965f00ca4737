import re

import pytest

from server.catalogue import Catalogue, ServedModel, Standing, State
from server.errors import ModelMissing, ModelNotReady
from server.types import ModelKey

FIRST, SECOND, TENTH = (ModelKey("adder", version) for version in (1, 2, 10))
REPLACED = "version 2 serves in its place"


def model(key: ModelKey) -> ServedModel:
    """Stand for a loaded version: the catalogue never looks into it."""
    return ServedModel(key, None, None, None)


def serving(*keys: ModelKey) -> Catalogue:
    catalogue = Catalogue()
    for key in keys:
        catalogue.add(model(key))
    return catalogue


def keys(models) -> list[ModelKey]:
    return [found.key for found in models]


def test_without_a_version_the_newest_number_serves():
    catalogue = serving(TENTH, SECOND, FIRST)
    assert catalogue.find("adder").key == TENTH
    assert catalogue.find("adder", "2").key == SECOND
    assert keys(catalogue.served()) == [FIRST, SECOND, TENTH]


def test_a_newer_version_that_was_refused_does_not_hide_the_one_that_serves():
    catalogue = serving(FIRST)
    catalogue.loading(SECOND)
    assert catalogue.find("adder").key == FIRST
    catalogue.refuse(SECOND, "its digest differs")
    assert catalogue.find("adder").key == FIRST


@pytest.mark.parametrize("version", ["3", "latest", "-1", "1.0", "²", "01", "\u0661", "9" * 5000])
@pytest.mark.parametrize("new", [True, False])
def test_a_missing_version_is_told_with_those_there_are(version, new):
    catalogue = serving(FIRST)
    catalogue.refuse(SECOND, "its digest differs")
    with pytest.raises(ModelMissing, match=f"'{re.escape(version)}'.*there is 1, 2"):
        catalogue.find("adder", version, new=new)


@pytest.mark.parametrize("name", ["other", ""])
def test_a_missing_model_is_told_with_those_there_are(name):
    with pytest.raises(ModelMissing, match=rf"'{name}'.*there is 'adder'"):
        serving(FIRST).find(name)
    with pytest.raises(ModelMissing, match="there is none"):
        Catalogue().find(name, "1")


@pytest.mark.parametrize("version", ["", "2"])
@pytest.mark.parametrize("new", [True, False])
def test_a_refused_version_is_told_with_its_reason(version, new):
    catalogue = Catalogue()
    catalogue.refuse(SECOND, "its digest differs")
    with pytest.raises(ModelNotReady, match=r"version 2 of model 'adder' does not serve: its digest differs"):
        catalogue.find("adder", version, new=new)


def test_a_refused_version_that_serves_at_last_is_no_longer_refused():
    catalogue = serving(FIRST)
    catalogue.refuse(SECOND, "its digest differs")
    assert catalogue.refused() == {SECOND: "its digest differs"}
    catalogue.add(model(SECOND))
    assert catalogue.refused() == {}
    assert catalogue.find("adder").key == SECOND


def test_a_retiring_version_is_found_by_number_for_what_lives_and_not_for_what_is_new():
    catalogue = serving(FIRST, SECOND)
    catalogue.retire(FIRST, REPLACED)
    assert catalogue.find("adder", "1", new=False).key == FIRST
    with pytest.raises(ModelNotReady, match=f"version 1 of model 'adder' takes no new sequences: {REPLACED}"):
        catalogue.find("adder", "1")
    assert catalogue.find("adder").key == catalogue.find("adder", new=False).key == SECOND
    assert keys(catalogue.served()) == [SECOND]
    assert keys(catalogue.loaded()) == [FIRST, SECOND]
    assert catalogue[FIRST].key == FIRST


def test_where_all_retire_what_lives_finds_the_newest_and_what_is_new_is_told_why():
    catalogue = serving(FIRST, SECOND)
    for key in (FIRST, SECOND):
        catalogue.retire(key, "its unloading was asked for")
    assert catalogue.find("adder", new=False).key == SECOND
    with pytest.raises(ModelNotReady, match=r"version 2 .* takes no new sequences: its unloading was asked for"):
        catalogue.find("adder")


def test_a_retiring_version_may_serve_again():
    catalogue = serving(FIRST, SECOND)
    catalogue.retire(SECOND, "it was deleted from the repository")
    assert catalogue.find("adder").key == FIRST
    catalogue.add(catalogue[SECOND])
    assert catalogue.find("adder").key == SECOND


def test_unloading_gives_back_what_was_held_and_leaves_the_reason():
    catalogue = serving(FIRST)
    held = catalogue[FIRST]
    catalogue.retire(FIRST, REPLACED)
    assert catalogue.unload(FIRST, REPLACED) is held
    assert FIRST not in catalogue
    assert catalogue.loaded() == ()
    assert catalogue.standings() == {FIRST: Standing(State.UNLOADED, REPLACED)}
    assert catalogue.unload(SECOND, "nobody asked for it") is None
    with pytest.raises(ModelNotReady, match="does not serve: version 2 serves in its place"):
        catalogue.find("adder", "1", new=False)


def test_without_a_version_the_reason_is_not_that_of_one_left_out_on_purpose():
    catalogue = Catalogue()
    catalogue.refuse(FIRST, "its digest differs")
    catalogue.unload(SECOND, "the settings name other versions of this model")
    with pytest.raises(ModelNotReady, match="version 1 of model 'adder' does not serve: its digest differs"):
        catalogue.find("adder")


def test_what_is_forgotten_is_missing():
    catalogue = Catalogue()
    catalogue.refuse(FIRST, "its digest differs")
    catalogue.forget(FIRST)
    assert catalogue.state(FIRST) is None
    with pytest.raises(ModelMissing):
        catalogue.find("adder", "1")
