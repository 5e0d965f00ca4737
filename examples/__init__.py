"""The Python client in three small programs, run from the project's root; the client's errors are told in a line."""

import sys
from types import TracebackType

from client.errors import ClientError


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, ClientError):
        sys.stderr.write(f"{error}\n")
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _tell
