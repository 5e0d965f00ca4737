"""Events as lines of `key=value`: a constant message, its fields after it."""

import logging
import sys
from typing import final

from typing_extensions import override

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


@final
class EventFormatter(logging.Formatter):
    """`2026-01-31T12:00:00 INFO model serves model=charlm version=1`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = (f"{name}={_quoted(value)}" for name, value in record.__dict__.items() if name not in _OWN)
        return " ".join([super().formatMessage(record), *fields])


def log_to_stderr(level: str) -> None:
    """Send all events of `level` and above to stderr."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(EventFormatter())
    logging.basicConfig(level=level.upper(), handlers=[stream], force=True)


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)
