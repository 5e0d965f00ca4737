import numpy as np
import pytest

from benchmarks.processes import lstm
from benchmarks.requests import FEATURES, HIDDEN
from tests import zoo


@pytest.fixture
def table(tmp_path, monkeypatch):
    model = lstm()
    (tmp_path / zoo.GRAPH).write_bytes(model.graph)
    for name, value in (("GRAPH", tmp_path / zoo.GRAPH), ("HIDDEN", HIDDEN), ("FEATURES", FEATURES)):
        monkeypatch.setenv(name, str(value))
    from benchmarks.peers.table import Table

    monkeypatch.setattr("benchmarks.peers.table.GRAPH", str(tmp_path / zoo.GRAPH))
    return Table()


def test_each_sequence_goes_on_from_its_own_state(table):
    x = np.random.default_rng(0).standard_normal((3, 4, 1, FEATURES)).astype(np.float32)
    apart = [
        np.stack([table.step([sequence], x[sequence, step][None])[0] for step in range(4)]) for sequence in range(3)
    ]
    together = [table.step([10, 11, 12], x[:, step]) for step in range(4)]
    for sequence in range(3):
        np.testing.assert_array_equal(apart[sequence], np.stack([y[sequence] for y in together]))
    assert not np.array_equal(apart[0][0], apart[0][1])
