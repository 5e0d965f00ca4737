"""The server's settings: flags over `RECUR_` variables over the configuration file over defaults."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from server import __version__
from server.config import CONFIG, Config, read_config
from server.limits import Limits, Totals
from server.options import LIMITS, OPTIONS, PER_MODEL, SERVER, TOTALS, VERSIONS_OPTION, Option, SettingError, Versions

COMMANDS = ("serve", "check")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How one model is served."""

    limits: Limits
    versions: Versions


@dataclass(frozen=True, slots=True)
class Settings:
    """How this server runs.

    Attributes:
        device: `cpu`, `cuda` or `cuda:N`.
        transport: `grpcio`, `native` or `auto`.
        load: the models to load at the start, where `control` is explicit.
        every_model: how a model is served that has no table of its own.
        models: by name, the models that have one.
    """

    command: str
    repository: Path
    listen: str
    metrics: str
    threads: int
    device: str
    transport: str
    max_connection_calls: int
    control: str
    load: tuple[str, ...]
    poll_seconds: float
    drain_seconds: float
    log_level: str
    totals: Totals
    every_model: ModelSettings
    models: Mapping[str, ModelSettings]

    def limits(self, model: str) -> Limits:
        """The limits of a model."""
        return self.models.get(model, self.every_model).limits

    def versions(self, model: str) -> Versions:
        """Which of a model's versions serve."""
        return self.models.get(model, self.every_model).versions


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read flags, environment and file; exits with 2 and one line that names what was wrong."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    try:
        path = given[CONFIG.field] or environment.get(CONFIG.variable)
        config = read_config(Path(path)) if path else Config({}, {})
        return _settings(given["command"], _asked(given, environment), config)
    except SettingError as error:
        _wrong(parser, str(error))


def _asked(given: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, object]:
    """What flags and variables say."""
    values: dict[str, object] = {}
    for option in OPTIONS:
        flagged, named = given[option.field], environment.get(option.variable)
        source, text = (option.flag, flagged) if flagged is not None else (option.variable, named)
        if text is None:
            continue
        try:
            values[option.field] = option.kind.from_text(text)
        except SettingError as error:
            raise SettingError(f"{source} is '{text}': {error}") from None
    return values


def _settings(command: str, asked: Mapping[str, object], config: Config) -> Settings:
    defaults = {option.field: option.default for option in OPTIONS}
    values = {**defaults, **config.values, **asked}
    if values["load"] and values["control"] != "explicit":
        raise SettingError("--load names models to load, which needs --control explicit; without it all models serve")
    return Settings(
        command=command,
        totals=Totals(**_part(values, TOTALS)),  # type: ignore[arg-type]  # each option reads its field's type
        every_model=_model_settings(values),
        models={name: _model_settings({**values, **table, **asked}) for name, table in config.models.items()},
        **_part(values, SERVER),  # type: ignore[arg-type]  # the same
    )


def _model_settings(values: Mapping[str, object]) -> ModelSettings:
    limits = Limits(**_part(values, LIMITS))  # type: ignore[arg-type]  # each option reads its field's type
    return ModelSettings(limits, values[VERSIONS_OPTION.field])  # type: ignore[arg-type]  # the same


def _part(values: Mapping[str, object], options: Sequence[Option]) -> dict[str, object]:
    return {option.field: values[option.field] for option in options}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        allow_abbrev=False,
        description="Serve the built models over gRPC, with the state of every client's sequence kept here.",
        epilog="Every flag has a variable: --idle-seconds is RECUR_IDLE_SECONDS; and a key in the --config file: "
        "idle_seconds. Flags win over variables, and both over the file, its tables too. "
        "A table [models.NAME] of the file sets the limits of one model, and its versions: "
        "'latest', 'all' or a list such as [2, 3].",
    )
    parser.add_argument(
        "command", nargs="?", choices=COMMANDS, default="serve", help="serve (default), or check settings and models"
    )
    parser.add_argument("--version", action="version", version=f"recur {__version__}")
    parser.add_argument(CONFIG.flag, metavar=CONFIG.kind.metavar, help=CONFIG.text)
    for title, options in (
        ("the server", SERVER),
        ("each model", PER_MODEL),
        ("all models together", TOTALS),
    ):
        group = parser.add_argument_group(title)
        for option in options:
            group.add_argument(option.flag, metavar=option.kind.metavar, help=_help(option))
    return parser


def _help(option: Option) -> str:
    default = option.default
    shown = f"{default:g}" if isinstance(default, float) else str(default or "none" if default == () else default)
    return f"{option.text} (default: {shown})"


def _wrong(parser: argparse.ArgumentParser, sentence: str) -> NoReturn:
    parser.exit(2, f"server: {sentence}\n")
