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


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")
