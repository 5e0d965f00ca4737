from pathlib import Path

import pytest

from training.data import store
from training.data.sets import published
from training.errors import DataInvalid, WrongUse


def put(folder: Path, name: str) -> Path:
    """Write empty files for a set."""
    for path in published()[name].paths():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).touch()
    return folder / name


def test_the_variable_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RECUR_DATA", str(tmp_path))
    assert store.root() == tmp_path


def test_without_the_variable_it_is_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("RECUR_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.root() == tmp_path / "recur"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.root() == tmp_path / ".cache" / "recur"


def test_a_set_is_here_when_all_its_files_are(tmp_path, monkeypatch):
    monkeypatch.setenv("RECUR_DATA", str(tmp_path))
    assert not store.is_here("tinyshakespeare")
    folder = put(tmp_path, "names")
    assert store.is_here("names")
    (folder / "Czech.txt").unlink()
    assert not store.is_here("names")


def test_a_loader_gets_the_sets_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RECUR_DATA", str(tmp_path))
    put(tmp_path, "names")
    assert store.read("names", lambda folder: folder) == tmp_path / "names"


def test_a_missing_set_is_a_line_with_the_command_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RECUR_DATA", str(tmp_path))
    with pytest.raises(DataInvalid) as caught:
        store.read("names", Path)
    assert str(caught.value) == (
        f"data set 'names' is not in '{tmp_path}'; `python -m training data fetch names` brings it"
    )


def test_a_damaged_set_is_a_line_with_the_command_that_mends_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RECUR_DATA", str(tmp_path))
    put(tmp_path, "polymusic")
    with pytest.raises(DataInvalid, match=r"is damaged \(.+\); `python -m training data fetch polymusic` mends it$"):
        store.read("polymusic", lambda folder: {}[folder])


def test_an_unknown_set_is_wrong_use_that_names_the_others():
    with pytest.raises(WrongUse, match=r"no data set 'ptb'; there is names, polymusic, .*ud_english_ewt"):
        store.is_here("ptb")
