import json
import re

import pytest

from tests.conftest import ROOT
from tests.training.data.test_sound import write_wav
from training.cli import main
from training.data.generators import GENERATED
from training.data.sets import published


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("RECUR_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_list_has_a_line_for_every_set_and_says_which_are_here(empty, capsys):
    (empty / "tinyshakespeare").mkdir(parents=True)
    (empty / "tinyshakespeare" / "input.txt").touch()
    assert main(["data", "list"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    here = {line.split()[0]: line.split()[1] for line in lines}
    assert list(here) == [*published(), *GENERATED]
    assert {name for name, found in here.items() if found == "yes"} == {"tinyshakespeare", *GENERATED}
    assert "non-commercial research and education only" in next(line for line in lines if line.startswith("multi30k"))


def test_list_is_json_on_request(empty, capsys):
    assert main(["data", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["babi"]["licence"] == "CC BY 3.0"
    assert rows["babi"]["here"] is False
    assert rows["babi"]["sources"][0].startswith("harvardnlp/MemN2N@f32f953")
    assert rows["narma"]["here"] is True


def test_the_documentation_has_the_tables_that_list_prints(capsys):
    assert main(["data", "list", "--markdown"]) == 0
    given, made = capsys.readouterr().out.split("\n\n")
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert given in text, "put what `python -m training data list --markdown` prints into docs/data.md"
    assert made in text


def test_fetch_brings_a_set_from_the_mirror_of_the_environment(empty, mirror, data_folder, monkeypatch, capsys):
    here = data_folder("santafe_laser")
    (source,) = published()["santafe_laser"].sources
    for file in source.files:
        (address,) = source.addresses(file)
        mirror.files[address] = (here / file.path).read_bytes()
    monkeypatch.setenv("RECUR_DATA_MIRROR", mirror.address)
    assert main(["data", "fetch", "santafe_laser"]) == 0
    said, wrong = capsys.readouterr()
    assert said == f"santafe_laser is in '{empty / 'santafe_laser'}'; licence: repository MIT; of the data unclear\n"
    assert wrong == ""
    assert (empty / "santafe_laser" / "santafe_laser.npy").read_bytes() == (here / "santafe_laser.npy").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["names", "nope"], 2, "no data set 'nope'; there is names, "),
        (
            ["names", "--mirror", "mirror"],
            2,
            "--mirror mirror: an address that begins with http:// or https:// is expected",
        ),
        (["names", "--mirror", "{}"], 1, "Arabic.txt' answers 404 Not Found; is `--mirror` right?"),
    ],
)
def test_a_fetch_that_fails_is_one_line(empty, mirror, capsys, arguments, code, sentence):
    assert main(["data", "fetch", *(one.format(mirror.address) for one in arguments)]) == code
    said, wrong = capsys.readouterr()
    assert said == ""
    assert wrong.startswith("training: ")
    assert sentence in wrong
    assert wrong.count("\n") == 1


def test_the_programs_and_recipes_of_the_documentation_do_what_they_say(tmp_path, data_folder, monkeypatch, capsys):
    data_folder("japanese_vowels")
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [f"{machine},{day},{at},1,2,3,train" for machine in range(20) for day in (1, 2) for at in range(3)]
    (tmp_path / "sensors.csv").write_text("\n".join(["machine,day,at,speed,heat,wear,part", *rows]))
    (tmp_path / "recordings").mkdir()
    for name in "abcdefghij":
        write_wav(tmp_path / "recordings" / f"{name}.wav", bytes(8))
    monkeypatch.chdir(tmp_path)
    table, sound = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    for recipe, said in ((table, "120 rows; sequences 40 / 0 / 0"), (sound, "1 classes, 8000 samples a second")):
        (tmp_path / "mine.toml").write_text(recipe)
        assert main(["data", "check", "mine.toml"]) == 0
        assert said in capsys.readouterr().out
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(program, "data.md", "exec"), {})
    assert "120" in capsys.readouterr().out
