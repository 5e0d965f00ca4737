"""Tries a model in a process of its own: an odd graph may end the one that loads it, which must not be the server's."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from models.device import CPU
from models.errors import ModelDamaged, ModelError
from models.loading import load_checked
from models.repository import ModelVersion, Repository

TIMEOUT_SECONDS = 60.0
OK, REFUSED = 0, 3

_ROOT = Path(__file__).parent.parent
_KINDS = {kind.__name__: kind for kind in ModelError.__subclasses__()}


class Refusal(msgspec.Struct, frozen=True):
    """What the child says of a model that must not serve: one line of JSON on its stdout."""

    kind: str
    text: str


def probe(
    repository: Repository, place: ModelVersion, *, device: str = CPU, timeout_seconds: float = TIMEOUT_SECONDS
) -> None:
    """Load a version and replay its golden answers in a child process, on a device; blocks until that ends.

    Raises:
        ModelDamaged: the child died, or was not done in time and was killed.
        ModelError: the reason why this version must not serve, as `load_checked` raises it.
    """
    try:
        # Nobody reads what ONNX Runtime writes of an odd graph; the sentence is what counts.
        child = subprocess.run(
            _command(repository, place, device),
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelDamaged(
            f"the graph was not loaded and its golden answers were not given within {timeout_seconds:g} s; "
            "publish a smaller or faster one"
        ) from error
    _judge(child.returncode, child.stdout, place)


def main(arguments: Sequence[str]) -> int:
    """Check the version named by ROOT NAME VERSION on DEVICE, as the child does; returns its exit status."""
    _leave_no_core_file()
    root, name, version, device = arguments
    repository = Repository(Path(root))
    try:
        load_checked(repository, ModelVersion(name, int(version), repository.root / name / version), device=device)
    except ModelError as error:
        sys.stdout.buffer.write(msgspec.json.encode(Refusal(type(error).__name__, str(error))) + b"\n")
        return REFUSED
    return OK


def _command(repository: Repository, place: ModelVersion, device: str) -> list[str]:
    version = (str(repository.root.absolute()), place.name, str(place.version))
    return [sys.executable, "-m", "models.probe", *version, device]


def _judge(status: int, said: bytes, place: ModelVersion) -> None:
    if status == OK:
        return
    if status == REFUSED:
        refusal = msgspec.json.decode(said.splitlines()[-1], type=Refusal)
        raise _KINDS[refusal.kind](refusal.text)
    if status < 0:
        raise ModelDamaged(
            "the graph ends ONNX Runtime's process; loaded on trial in a process of its own, that one died of "
            f"'{signal.strsignal(-status)}'; export it with other operators or datatypes"
        )
    raise ModelDamaged(
        f"loaded on trial in a process of its own, that one ended with status {status}; "
        f"`python -m models check {place.name} --version {place.version}` shows why"
    )


def _leave_no_core_file() -> None:
    import resource  # noqa: PLC0415  # Unix has it, as the server needs; the package is also used elsewhere

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
