"""Fixtures for all tests, and the rule for what a machine lacks: skipped here, a failure in CI."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from models.repository import Repository

ROOT = Path(__file__).parent.parent
CI = os.environ.get("CI") == "true"

# Whose tests are of the port more than of what is behind it.
BOTH = {
    "tests.e2e.test_bad_requests",
    "tests.e2e.test_server_process",
    "tests.faults.test_connections",
    "tests.faults.test_messages",
    "tests.faults.test_silence",
}
BOTH_WAYS = ("grpcio", "native")

settings.register_profile("recur", deadline=None, derandomize=CI, print_blob=True)
settings.load_profile("recur")


def require(condition: object, reason: str) -> None:
    """Go on where `condition` is true; otherwise skip the test, or fail it where `CI=true`."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI nothing may be missing: {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True, scope="session")
def data_root() -> Iterator[Path]:
    """Set RECUR_DATA for every test, to the folder beside the checkout unless it is set."""
    with pytest.MonkeyPatch.context() as patch:
        path = Path(os.environ.get("RECUR_DATA", ROOT.parent / "shared" / "data"))
        patch.setenv("RECUR_DATA", str(path))
        yield path


@pytest.fixture(scope="session")
def data_folder(data_root: Path) -> Callable[[str], Path]:
    """Give the folder of a data set by its name, where the machine has it."""

    def folder(name: str) -> Path:
        path = data_root / name
        require(path.is_dir(), f"no data set '{name}' in RECUR_DATA ({data_root})")
        return path

    return folder


@pytest.fixture
def seed() -> int:
    """Give a seed, other each time unless RECUR_SEED sets it; pytest shows it beside a failing test."""
    value = int(os.environ.get("RECUR_SEED", 0 if CI else random.SystemRandom().randrange(2**32)))
    sys.stdout.write(f"RECUR_SEED={value}\n")
    return value


@pytest.fixture(scope="session", autouse=True)
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve over the transport of RECUR_TRANSPORT, or in the modules of BOTH over each in turn."""
    name = getattr(request, "param", os.environ.get("RECUR_TRANSPORT", "grpcio"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECUR_TRANSPORT", name)
        yield name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the tests of the port run over every transport."""
    if metafunc.module.__name__ in BOTH:
        alone = metafunc.definition.get_closest_marker("grpcio") is not None
        metafunc.parametrize("transport", BOTH_WAYS[:1] if alone else BOTH_WAYS, indirect=True, scope="session")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")
