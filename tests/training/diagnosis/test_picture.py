import msgspec
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread

from tests.training.diagnosis.test_table import FOUND
from training.diagnosis.band import Band
from training.diagnosis.comparison import Pair, draw_comparison
from training.diagnosis.echo import Echo
from training.diagnosis.picture import draw_diagnosis, draw_flow, draw_gradient


def drawn(path, **changed):
    draw_diagnosis(path, msgspec.structs.replace(FOUND, **changed))
    return imread(path)


def panels(picture):
    """The six panels, without what is above them."""
    rows = np.array_split(picture[60:], 2)
    return [panel for row in rows for panel in np.array_split(row, 3, axis=1)]


def test_every_measure_is_in_a_panel_of_its_own(tmp_path):
    plain = drawn(tmp_path / "plain.png")
    assert plain.shape[:2] == (840, 1440)
    norms = [Band(1, 1, 1), Band(2, 3, 4)]
    other = drawn(
        tmp_path / "other.png",
        spectrum=msgspec.structs.replace(FOUND.spectrum, eigenvalues=[(0.5, -0.4)]),
        flow=msgspec.structs.replace(FOUND.flow, norms=norms),
        gradient=msgspec.structs.replace(FOUND.gradient, norms=norms),
        gates={},
        echo=Echo(norms, None),
        capacity=None,
    )
    for one, changed in zip(panels(plain), panels(other), strict=True):
        assert not np.array_equal(one, changed)


def test_norms_of_nothing_and_without_end_are_drawn_at_the_edges(tmp_path):
    norms = [Band(0, 0, 0), Band(1e300, np.inf, np.inf)]
    assert drawn(tmp_path / "a.png", flow=msgspec.structs.replace(FOUND.flow, norms=norms)).size > 0


def test_both_of_a_pair_are_whole_in_their_panel():
    axes = Figure().add_subplot()
    lower = msgspec.structs.replace(FOUND, flow=msgspec.structs.replace(FOUND.flow, norms=[Band(1, 1, 1)] * 2))
    higher = msgspec.structs.replace(FOUND, flow=msgspec.structs.replace(FOUND.flow, norms=[Band(5e4, 5e4, 5e4)] * 2))
    for one in (lower, higher):
        draw_flow(axes, one)
        draw_gradient(axes, one)
    low, high = axes.get_ylim()
    assert low < 0.0625
    assert high > 5e4
    assert axes.xaxis_inverted()


def test_cells_are_drawn_under_each_other(tmp_path):
    found = Pair(msgspec.structs.replace(FOUND, trained=False), FOUND, 0.1, 0.01)
    draw_comparison(tmp_path / "two.png", {"a": found, "b": found})
    assert imread(tmp_path / "two.png").shape[:2] == (600, 1600)
