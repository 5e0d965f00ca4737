import re

import pytest

from server.config import Config, read_config
from server.options import SettingError
from tests.conftest import ROOT


@pytest.fixture
def read(tmp_path):
    def write_and_read(data: str | bytes) -> Config:
        path = tmp_path / "recur.toml"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return read_config(path)

    return write_and_read


def test_values_for_all_and_for_single_models(read):
    config = read('max_batch = 3\n[models.a]\nmax_state_bytes = "1KiB"\n[models."b.c"]\nversions = "all"\n')
    assert config == Config({"max_batch": 3}, {"a": {"max_state_bytes": 1024}, "b.c": {"versions": "all"}})


def test_an_empty_file_says_nothing(read):
    assert read("") == Config({}, {})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("max_bath = 3", "recur.toml: unknown key 'max_bath' = 3: one of repository, listen, "),
        ("max_batch = 0", "recur.toml: max_batch is 0: an integer from 1 is expected"),
        ('max_batch = "7"', "recur.toml: max_batch is '7': an integer from 1 is expected"),
        ("max_batch = true", "recur.toml: max_batch is true: an integer from 1 is expected"),
        ("[max_batch]\na = 1", "recur.toml: max_batch is a table: an integer from 1 is expected"),
        ("config = 'x'", "recur.toml: unknown key 'config' = 'x': "),
        ("models = 3", "recur.toml: models is 3: tables [models.NAME] are expected"),
        ("[models]\na = 3", "recur.toml: [models] a is 3: a table [models.NAME] is expected"),
        ("[models.'../a']", "recur.toml: [models.../a] name '../a' must be"),
        ("[models.a]\nthreads = 3", "recur.toml: [models.a] unknown key 'threads' = 3: one of max_batch, "),
        ("[models.a]\nversions = 2", "recur.toml: [models.a] versions is 2: 'latest', 'all' or "),
        ("[models.a]\nidle_seconds = -1", "recur.toml: [models.a] idle_seconds is -1: a number of seconds above 0 is"),
        ("a = = 1", "recur.toml: is not TOML: "),
    ],
)
def test_what_is_wrong_is_refused_in_one_line_that_names_it(read, text, line):
    with pytest.raises(SettingError) as refused:
        read(text)
    assert line in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_that_is_not_text_or_not_there_is_refused(read, tmp_path):
    with pytest.raises(SettingError, match="is not UTF-8 text"):
        read(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"--config is '.*none.toml': it cannot be read: No such file"):
        read_config(tmp_path / "none.toml")


def test_the_example_in_the_documentation_is_read(read):
    text = (ROOT / "docs" / "operations.md").read_text()
    [example] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    config = read(example)
    assert config.values["max_total_state_bytes"] == 2 * 2**30
    assert config.models["charlm"]["versions"] == (2, 3)
