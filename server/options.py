"""The table of options: each a flag, a variable and a key of the configuration file, read the same way."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.device import CPU, place_of
from models.errors import DeviceMissing
from models.manifest import check_name
from models.repository import DEFAULT
from server.limits import Limits, Totals

LOG_LEVELS = ("debug", "info", "warning", "error")
CONTROLS = ("poll", "explicit")
TRANSPORTS = ("grpcio", "native", "auto")
BYTES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

# Which of a model's versions serve: the newest, all, or those named.
Versions = Literal["latest", "all"] | tuple[int, ...]


class SettingError(Exception):
    """A setting that cannot be used; one line says which, what came and what is expected."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A form that values have.

    Attributes:
        metavar: what stands for the value in the help.
        expected: the end of the sentence that refuses a wrong value.
        read: reads the value's text; raises ValueError.
        types: the types that TOML may give for it.
        items: the type of a TOML list's items.
    """

    metavar: str
    expected: str
    read: Callable[[str], object]
    types: tuple[type, ...]
    items: type = str

    def from_text(self, text: str) -> object:
        """Read a flag's or a variable's value; raises SettingError with what is expected."""
        try:
            return self.read(text)
        except ValueError:
            raise SettingError(self.expected) from None

    def from_toml(self, value: object) -> object:
        """Read a value of the configuration file; raises SettingError with what is expected."""
        if type(value) not in self.types:
            raise SettingError(self.expected)
        if not isinstance(value, list):
            return self.from_text(str(value))
        if any(type(item) is not self.items for item in value):
            raise SettingError(self.expected)
        return self.from_text(",".join(map(str, value)))


@dataclass(frozen=True, slots=True)
class Option:
    """One setting, and its value where nobody gives one."""

    flag: str
    kind: Kind
    default: object
    text: str

    @property
    def field(self) -> str:
        """The key in the file and the name in Settings, Limits or Totals."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return f"RECUR_{self.field.upper()}"


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError
    return text


def _count(least: int, most: float = math.inf) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return read


def _seconds(*, above_zero: bool) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not 0 <= value < float("inf") or (above_zero and value == 0):
            raise ValueError
        return value

    return read


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]+) ?([A-Za-z]*)", text)
    if found is None or found[2] not in BYTES:
        raise ValueError
    return int(found[1]) * BYTES[found[2]]


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    return read


def _device(text: str) -> str:
    try:
        place_of(text)
    except DeviceMissing:
        raise ValueError from None
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(","))) if text else ()
    for name in names:
        check_name(name)
    return names


def _versions(text: str) -> Versions:
    if text == "latest":
        return "latest"
    return "all" if text == "all" else tuple(sorted({_count(1)(number) for number in text.split(",")}))


def _path(text: str) -> Path:
    if not text:
        raise ValueError
    return Path(text)


FILE = Kind("FILE", "a file is expected", _path, (str,))
FOLDER = Kind("DIR", "a folder is expected", _path, (str,))
ADDRESS = Kind("HOST:PORT", "HOST:PORT is expected, for example 127.0.0.1:8001", _address, (str,))
COUNT = Kind("COUNT", "an integer from 1 is expected", _count(1), (int,))
# gRPC counts in 32 bits.
CALLS = Kind("COUNT", "an integer from 1 to 2147483647 is expected", _count(1, 2**31 - 1), (int,))
COUNT_OR_NONE = Kind("COUNT", "an integer from 1, or 0 for no limit, is expected", _count(0), (int,))
SECONDS = Kind("SECONDS", "a number of seconds above 0 is expected", _seconds(above_zero=True), (int, float))
SECONDS_OR_NONE = Kind("SECONDS", "a number of seconds from 0 is expected", _seconds(above_zero=False), (int, float))
SIZE = Kind("BYTES", "bytes are expected, for example 512MiB or 2GiB, or 0 for no limit", _bytes, (int, str))
DEVICE = Kind("DEVICE", "cpu, cuda or cuda:N is expected, N being the number of a card", _device, (str,))
CONTROL = Kind("HOW", f"one of {', '.join(CONTROLS)} is expected", _one_of(*CONTROLS), (str,))
TRANSPORT = Kind("HOW", f"one of {', '.join(TRANSPORTS)} is expected", _one_of(*TRANSPORTS), (str,))
NAMES = Kind("NAME[,NAME]", "model names with commas between them are expected", _names, (list,))
LEVEL = Kind("LEVEL", f"one of {', '.join(LOG_LEVELS)} is expected", _one_of(*LOG_LEVELS), (str,))
VERSIONS = Kind(
    "WHICH",
    "'latest', 'all' or version numbers such as 2,3 (in the file [2, 3]) are expected",
    _versions,
    (str, list),
    int,
)

SERVER = (
    Option("--repository", FOLDER, DEFAULT, "the folder of models NAME/VERSION/"),
    Option("--listen", ADDRESS, "127.0.0.1:8001", "where gRPC is served; port 0 lets the system choose"),
    Option("--metrics", ADDRESS, "127.0.0.1:8002", "where Prometheus reads /metrics"),
    Option("--threads", COUNT, 1, "cores that one run uses"),
    Option("--device", DEVICE, CPU, "cpu, cuda or cuda:N: where models run and states are kept"),
    Option("--transport", TRANSPORT, "auto", "grpcio; native: unary calls by pygrpc-native; auto: grpcio, for now"),
    Option("--max-connection-calls", CALLS, 512, "calls that one connection has open; more wait at the client"),
    Option("--control", CONTROL, "poll", "poll: serve what is published; explicit: serve what is asked for"),
    Option("--load", NAMES, (), "with --control explicit: the models to load at the start"),
    Option("--poll-seconds", SECONDS, 2.0, "how often to look for newly published versions"),
    Option("--drain-seconds", SECONDS, 10.0, "how long a stopping server, or a model being unloaded, finishes work"),
    Option("--log-level", LEVEL, "info", f"one of {', '.join(LOG_LEVELS)}"),
)
_LIMITS, _TOTALS = Limits(), Totals()
LIMITS = (
    Option("--max-batch", COUNT, _LIMITS.max_batch, "rows that run together at most"),
    Option("--max-chunk-steps", COUNT, _LIMITS.max_chunk_steps, "steps of one request's rows at most"),
    Option("--max-steps", COUNT, _LIMITS.max_steps, "rows times steps of a batch at most"),
    Option("--queue-delay-seconds", SECONDS_OR_NONE, _LIMITS.queue_delay_seconds, "how long a batch may wait to fill"),
    Option("--max-sequences", COUNT, _LIMITS.max_sequences, "live sequences of one version at most"),
    Option("--max-state-bytes", SIZE, _LIMITS.max_state_bytes, "live states of one version at most; 0: no limit"),
    Option("--max-queue", COUNT, _LIMITS.max_queue, "requests that may wait"),
    Option(
        "--max-queue-seconds",
        SECONDS_OR_NONE,
        _LIMITS.max_queue_seconds,
        "new requests are refused while one waits longer than this; 0: no limit",
    ),
    Option("--idle-seconds", SECONDS, _LIMITS.idle_seconds, "a sequence without a request for so long is ended"),
    Option("--max-generated-steps", COUNT, _LIMITS.max_generated_steps, "steps that one request may generate at most"),
    Option(
        "--max-sequence-steps",
        COUNT,
        _LIMITS.max_sequence_steps,
        "steps of one sequence at most, where a model answers when it is complete",
    ),
    Option(
        "--ended-retention-seconds",
        SECONDS_OR_NONE,
        _LIMITS.ended_retention_seconds,
        "how long an ended sequence's last answer is kept for a retry",
    ),
)
VERSIONS_OPTION = Option(
    "--versions", VERSIONS, "latest", "latest: the newest replaces the one before; all: side by side; or numbers: 2,3"
)
TOTALS = (
    Option("--max-total-sequences", COUNT_OR_NONE, _TOTALS.max_total_sequences, "live sequences; 0: no limit"),
    Option("--max-total-state-bytes", SIZE, _TOTALS.max_total_state_bytes, "live states; 0: no limit"),
    Option("--max-total-queue", COUNT_OR_NONE, _TOTALS.max_total_queue, "requests that may wait; 0: no limit"),
)
PER_MODEL = (*LIMITS, VERSIONS_OPTION)
OPTIONS = (*SERVER, *PER_MODEL, *TOTALS)
