"""The server's settings: flags over `RECUR_` variables over defaults."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from models.repository import DEFAULT
from server import __version__

COMMANDS = ("serve", "check")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Settings:
    """How this server runs."""

    command: str
    repository: Path
    listen: str
    metrics: str
    max_batch: int
    threads: int
    idle_seconds: float
    max_sequences: int
    poll_seconds: float
    drain_seconds: float
    log_level: str


@dataclass(frozen=True, slots=True)
class Option:
    """A flag, the variable of its name, and its default; `read` raises ValueError with what is wrong."""

    flag: str
    default: str
    metavar: str
    read: Callable[[str], object]
    text: str

    @property
    def field(self) -> str:
        """The name in Settings."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return f"RECUR_{self.field.upper()}"


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read flags and environment; exits with 2 and one line that names what was wrong."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    values: dict[str, object] = {}
    for option in OPTIONS:
        flagged, named = given[option.field], environment.get(option.variable)
        source = option.flag if flagged is not None else option.variable
        text = next(value for value in (flagged, named, option.default) if value is not None)
        try:
            values[option.field] = option.read(text)
        except ValueError as error:
            _wrong(parser, f"{source} is '{text}': {error}")
    return Settings(command=given["command"], **values)  # type: ignore[arg-type]  # each option reads its field's type


def address(text: str) -> str:
    """Read `HOST:PORT`; port 0 lets the system choose."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("HOST:PORT is expected, for example 127.0.0.1:8001")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("an integer from 1 is expected")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("a number of seconds above 0 is expected")
    return value


def _level(text: str) -> str:
    if text not in LOG_LEVELS:
        raise ValueError(f"one of {', '.join(LOG_LEVELS)} is expected")
    return text


OPTIONS = (
    Option("--repository", str(DEFAULT), "DIR", Path, "the folder of models NAME/VERSION/"),
    Option("--listen", "127.0.0.1:8001", "HOST:PORT", address, "where gRPC is served; port 0 lets the system choose"),
    Option("--metrics", "127.0.0.1:8002", "HOST:PORT", address, "where Prometheus reads /metrics"),
    Option("--max-batch", "256", "ROWS", _count, "rows that run together at most"),
    Option("--threads", "1", "CORES", _count, "cores that one run uses"),
    Option("--idle-seconds", "600", "SECONDS", _seconds, "a sequence without a request for so long is ended"),
    Option("--max-sequences", "100000", "COUNT", _count, "live sequences a model version may have"),
    Option("--poll-seconds", "2", "SECONDS", _seconds, "how often to look for newly published versions"),
    Option("--drain-seconds", "10", "SECONDS", _seconds, "how long a stopping server finishes requests"),
    Option("--log-level", "info", "LEVEL", _level, f"one of {', '.join(LOG_LEVELS)}"),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Serve the built models over gRPC, with the state of every client's sequence kept here.",
        epilog="Every flag has a variable: --idle-seconds is RECUR_IDLE_SECONDS. Flags win.",
    )
    parser.add_argument(
        "command", nargs="?", choices=COMMANDS, default="serve", help="serve (default), or check settings and models"
    )
    parser.add_argument("--version", action="version", version=f"recur {__version__}")
    for option in OPTIONS:
        parser.add_argument(option.flag, metavar=option.metavar, help=f"{option.text} (default: {option.default})")
    return parser


def _wrong(parser: argparse.ArgumentParser, sentence: str) -> NoReturn:
    parser.exit(2, f"server: {sentence}\n")
