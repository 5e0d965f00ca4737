"""`python -m models`: list, show, check and import built models."""

import sys

from models.child import in_child


def _command() -> int:
    # Imported by the child alone: a process that has ONNX Runtime loaded, and its threads, cannot be forked.
    from models.cli import main  # noqa: PLC0415

    return main()


if __name__ == "__main__":
    sys.exit(in_child(_command))
