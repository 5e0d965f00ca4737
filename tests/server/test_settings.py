import dataclasses
from pathlib import Path

import pytest

from server import __version__
from server.limits import Limits, Totals
from server.options import OPTIONS
from server.settings import Settings, read_settings

FIELDS = {
    **{field.name: lambda settings, name=field.name: getattr(settings, name) for field in dataclasses.fields(Settings)},
    **{name: lambda settings, name=name: getattr(settings.limits("any"), name) for name in Limits.__struct_fields__},
    **{name: lambda settings, name=name: getattr(settings.totals, name) for name in Totals.__struct_fields__},
    "versions": lambda settings: settings.versions("any"),
}
GOOD = {
    "--repository": ("/models", Path("/models")),
    "--listen": ("[::]:0", "[::]:0"),
    "--metrics": ("localhost:9", "localhost:9"),
    "--threads": ("2", 2),
    "--device": ("cuda:1", "cuda:1"),
    "--transport": ("native", "native"),
    "--max-connection-calls": ("10", 10),
    "--control": ("explicit", "explicit"),
    "--poll-seconds": ("9", 9.0),
    "--drain-seconds": ("2.5e0", 2.5),
    "--log-level": ("debug", "debug"),
    "--max-batch": ("7", 7),
    "--max-steps": ("8", 8),
    "--queue-delay-seconds": ("0.001", 0.001),
    "--max-sequences": ("3", 3),
    "--max-state-bytes": ("512MiB", 512 * 2**20),
    "--max-queue": ("4", 4),
    "--max-queue-seconds": ("1.5", 1.5),
    "--idle-seconds": ("0.5", 0.5),
    "--ended-retention-seconds": ("0", 0.0),
    "--max-chunk-steps": ("2147483647", 2147483647),
    "--max-generated-steps": ("7", 7),
    "--max-sequence-steps": ("7", 7),
    "--versions": ("2,10", (2, 10)),
    "--max-total-sequences": ("5", 5),
    "--max-total-state-bytes": ("2GiB", 2**31),
    "--max-total-queue": ("6", 6),
}
NEEDS_OTHERS = {"--load"}


def field(settings, option):
    return FIELDS[option.field](settings)


def refusal(capsys, arguments, environment=None) -> str:
    """The one line with which wrong settings are refused."""
    with pytest.raises(SystemExit) as ended:
        read_settings(arguments, environment or {})
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture
def config(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "recur.toml"
        path.write_text(text)
        return str(path)

    return write


def test_the_defaults():
    settings = read_settings([], {})
    assert settings.limits("any") == Limits(
        max_batch=256,
        max_steps=16384,
        queue_delay_seconds=0.0,
        max_sequences=100_000,
        max_state_bytes=0,
        max_queue=10_000,
        max_queue_seconds=0.0,
        idle_seconds=600.0,
        ended_retention_seconds=60.0,
        max_generated_steps=4096,
        max_sequence_steps=16_384,
        max_chunk_steps=16_384,
    )
    assert settings.totals == Totals(max_total_sequences=0, max_total_state_bytes=0, max_total_queue=0)
    assert (settings.command, settings.control, settings.load) == ("serve", "poll", ())
    assert (settings.listen, settings.metrics) == ("127.0.0.1:8001", "127.0.0.1:8002")
    assert (settings.poll_seconds, settings.drain_seconds) == (2.0, 10.0)
    assert (settings.threads, settings.log_level, settings.versions("any")) == (1, "info", "latest")


def test_every_setting_has_an_option_that_sets_it():
    fields = FIELDS.keys() - {"command", "totals", "every_model", "models"}
    assert {option.field for option in OPTIONS} == fields
    assert {option.flag for option in OPTIONS} == GOOD.keys() | NEEDS_OTHERS


@pytest.mark.parametrize(
    "option", [option for option in OPTIONS if option.flag in GOOD], ids=lambda option: option.flag
)
def test_a_flag_wins_over_its_variable_that_over_the_file_and_that_over_the_default(option, config, tmp_path):
    text, value = GOOD[option.flag]
    number = not isinstance(value, str | Path | tuple) and text[-1].isdigit()
    file = ["--config", config(f"{option.field} = {text}" if number else f'{option.field} = "{text}"')]
    if isinstance(value, tuple):
        file = ["--config", config(f"{option.field} = [{text}]")]
    default = field(read_settings([], {}), option)
    assert value != default
    assert field(read_settings([option.flag, text], {}), option) == value
    assert field(read_settings([], {option.variable: text}), option) == value
    assert field(read_settings(file, {}), option) == value
    default_text = f"{default:g}" if isinstance(default, float) else str(default)
    assert field(read_settings([option.flag, default_text], {option.variable: text}), option) == default
    assert field(read_settings(file, {option.variable: default_text}), option) == default
    assert field(read_settings([*file, option.flag, default_text], {}), option) == default


def test_the_file_may_be_named_by_its_variable(config):
    path = config("threads = 3")
    assert read_settings([], {"RECUR_CONFIG": path}).threads == 3
    assert read_settings(["--config", config("threads = 4")], {"RECUR_CONFIG": "/nowhere"}).threads == 4


def test_a_models_table_wins_over_the_files_top_and_flags_over_both(config):
    path = config(
        "max_batch = 64\nmax_queue = 9\n[models.charlm]\nmax_batch = 8\nversions = [3, 2]\nidle_seconds = 5\n"
    )
    settings = read_settings(["--config", path], {})
    assert settings.limits("charlm") == Limits(max_batch=8, max_queue=9, idle_seconds=5.0)
    assert settings.limits("other") == Limits(max_batch=64, max_queue=9)
    assert (settings.versions("charlm"), settings.versions("other")) == ((2, 3), "latest")
    flagged = read_settings(["--config", path, "--max-batch", "16"], {})
    assert [flagged.limits(name).max_batch for name in ("charlm", "other")] == [16, 16]
    assert read_settings(["--config", path], {"RECUR_IDLE_SECONDS": "7"}).limits("charlm").idle_seconds == 7.0


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_a_variable_is_named_after_its_flag(option):
    assert option.variable == "RECUR_" + option.flag[2:].upper().replace("-", "_")


def test_a_wrong_flag_or_variable_ends_with_2_and_one_line_that_names_it(capsys):
    line = refusal(capsys, ["--max-batch=many"])
    assert line == "server: --max-batch is 'many': an integer from 1 is expected"
    line = refusal(capsys, [], {"RECUR_MAX_STATE_BYTES": "2GB"})
    assert line.startswith("server: RECUR_MAX_STATE_BYTES is '2GB': bytes are expected, for example 512MiB")


def test_a_wrong_file_ends_with_2_and_one_line_that_names_it(capsys, config):
    path = config("[models.charlm]\nmax_batch = 0")
    line = refusal(capsys, ["--config", path])
    assert line == f"server: {path}: [models.charlm] max_batch is 0: an integer from 1 is expected"
    assert "cannot be read" in refusal(capsys, ["--config", "/nowhere/recur.toml"])


@pytest.mark.parametrize("arguments", [["--port=1"], ["stop"], ["--threads"]])
def test_what_is_no_option_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(arguments, {})
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_wrong_variable_behind_a_flag_does_not_matter():
    assert read_settings(["--threads", "2"], {"RECUR_THREADS": "x"}).threads == 2


def test_models_to_load_are_named_where_control_is_explicit(capsys, config):
    assert read_settings(["--control", "explicit", "--load", "b,a,b"], {}).load == ("b", "a")
    path = config('control = "explicit"\nload = ["a"]')
    assert read_settings(["--config", path], {}).load == ("a",)
    assert "needs --control explicit" in refusal(capsys, ["--load", "a"])


def test_check_is_a_command():
    assert read_settings(["check", "--threads", "2"], {}).command == "check"


def test_help_names_every_option_and_its_default(capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"], {})
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert [option.flag for option in OPTIONS if f"{option.flag} {option.kind.metavar}" not in text] == []
    assert "(default: 16384)" in text
    assert "[models.NAME]" in text


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"recur {__version__}\n"
