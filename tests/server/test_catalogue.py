import re

import pytest

from server.catalogue import Catalogue
from server.errors import ModelMissing, ModelNotReady
from server.types import ModelKey
from tests.server.fakes import ADDER, Server

SECOND, TENTH = (ModelKey(ADDER.name, version) for version in (2, 10))


def test_without_a_version_the_newest_number_serves():
    server = Server()
    server.publish(TENTH)
    server.publish(SECOND)
    assert server.catalogue.find("adder").key == TENTH
    assert server.catalogue.find("adder", "2").key == SECOND
    assert [model.key for model in server.catalogue.served()] == [ADDER, SECOND, TENTH]


def test_a_newer_version_that_was_refused_does_not_hide_the_one_that_serves():
    server = Server()
    server.catalogue.refuse(SECOND, "its digest differs")
    assert server.catalogue.find("adder").key == ADDER


@pytest.mark.parametrize("version", ["3", "latest", "-1", "1.0", "²"])
def test_a_missing_version_is_told_with_those_there_are(version):
    server = Server()
    server.catalogue.refuse(SECOND, "its digest differs")
    with pytest.raises(ModelMissing, match=f"'{re.escape(version)}'.*there is 1, 2"):
        server.catalogue.find("adder", version)


def test_a_missing_model_is_told_with_those_there_are():
    with pytest.raises(ModelMissing, match=r"'other'.*there is 'adder'"):
        Server().catalogue.find("other")
    with pytest.raises(ModelMissing, match="there is none"):
        Catalogue().find("other", "1")


@pytest.mark.parametrize("version", ["", "2"])
def test_a_refused_version_is_told_with_its_reason(version):
    catalogue = Catalogue()
    catalogue.refuse(SECOND, "its digest differs")
    with pytest.raises(ModelNotReady, match=r"version 2 of model 'adder' does not serve: its digest differs"):
        catalogue.find("adder", version)


def test_a_refused_version_that_serves_at_last_is_no_longer_refused():
    server = Server()
    server.catalogue.refuse(SECOND, "its digest differs")
    assert server.catalogue.refused() == {SECOND: "its digest differs"}
    server.publish(SECOND)
    assert server.catalogue.refused() == {}
    assert server.catalogue.find("adder").key == SECOND
