import dataclasses
from pathlib import Path

import pytest

from models.repository import DEFAULT
from server import __version__
from server.settings import OPTIONS, Settings, read_settings

GOOD = {
    "--repository": ("/models", Path("/models")),
    "--listen": ("[::]:0", "[::]:0"),
    "--metrics": ("localhost:9", "localhost:9"),
    "--max-batch": ("7", 7),
    "--threads": ("2", 2),
    "--idle-seconds": ("0.5", 0.5),
    "--max-sequences": ("3", 3),
    "--poll-seconds": ("9", 9.0),
    "--drain-seconds": ("2.5e0", 2.5),
    "--log-level": ("debug", "debug"),
}
BAD = {
    "--listen": ["8001", ":8001", "host:", "host:port", "host:65536", "host:-1", ""],
    "--metrics": ["8002", "host:99999"],
    "--max-batch": ["0", "-1", "1.5", "many", ""],
    "--threads": ["0", "x"],
    "--idle-seconds": ["0", "-1", "inf", "nan", "soon", ""],
    "--max-sequences": ["0", "1e3"],
    "--poll-seconds": ["0", "x"],
    "--drain-seconds": ["-0.1", "x"],
    "--log-level": ["INFO", "loud", ""],
}
CASES = [(flag, text) for flag, texts in BAD.items() for text in texts]


def test_the_defaults():
    assert read_settings([], {}) == Settings(
        command="serve",
        repository=DEFAULT,
        listen="127.0.0.1:8001",
        metrics="127.0.0.1:8002",
        max_batch=256,
        threads=1,
        idle_seconds=600.0,
        max_sequences=100_000,
        poll_seconds=2.0,
        drain_seconds=10.0,
        log_level="info",
    )


def test_every_setting_but_the_command_has_an_option():
    assert {option.field for option in OPTIONS} | {"command"} == {field.name for field in dataclasses.fields(Settings)}
    assert {option.flag for option in OPTIONS} == GOOD.keys()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_a_flag_wins_over_its_variable_and_that_over_the_default(option):
    text, value = GOOD[option.flag]
    default = getattr(read_settings([], {}), option.field)
    assert value != default
    assert getattr(read_settings([option.flag, text], {}), option.field) == value
    assert getattr(read_settings([], {option.variable: text}), option.field) == value
    both = read_settings([option.flag, option.default], {option.variable: text})
    assert getattr(both, option.field) == default


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_a_variable_is_named_after_its_flag(option):
    assert option.variable == "RECUR_" + option.flag[2:].upper().replace("-", "_")


@pytest.mark.parametrize(("flag", "text"), CASES)
def test_a_wrong_flag_ends_with_2_and_one_line_that_names_it(flag, text, capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings([f"{flag}={text}"], {})
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"server: {flag} is '{text}': ")
    assert line.endswith("expected") or "for example" in line


@pytest.mark.parametrize(("flag", "text"), CASES)
def test_a_wrong_variable_ends_with_2_and_one_line_that_names_it(flag, text, capsys):
    [variable] = [option.variable for option in OPTIONS if option.flag == flag]
    with pytest.raises(SystemExit) as ended:
        read_settings([], {variable: text})
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"server: {variable} is '{text}': ")


@pytest.mark.parametrize("arguments", [["--port=1"], ["stop"], ["--threads"]])
def test_what_is_no_option_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(arguments, {})
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_wrong_variable_behind_a_flag_does_not_matter():
    assert read_settings(["--threads", "2"], {"RECUR_THREADS": "x"}).threads == 2


def test_check_is_a_command():
    assert read_settings(["check", "--threads", "2"], {}).command == "check"


def test_help_names_every_option_and_its_default(capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"], {})
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert [option.flag for option in OPTIONS if f"{option.flag} {option.metavar}" not in text] == []


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"recur {__version__}\n"
