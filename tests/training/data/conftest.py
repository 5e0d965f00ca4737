"""A mirror of published sets on loopback."""

from collections.abc import Iterator

import pytest

from tests.training.data.mirror import Mirror, serve_mirror


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serve_mirror() as served:
        yield served
