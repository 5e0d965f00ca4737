import numpy as np
from matplotlib.image import imread

from training.curves import draw_curve

HISTORY = [(100, 4.0, 3.9), (200, 3.0, 3.1)]


def draw(path, history=HISTORY, references=None):
    draw_curve(path, history, references or {}, unit="bits/char", title="small")
    return imread(path)


def test_the_picture_is_a_png_of_a_readable_size(tmp_path):
    picture = draw(tmp_path / "curve.png", references={"unigram": 4.67, "bz2": 2.0, "xz": 1.4})
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert picture.shape[:2] == (540, 960)


def test_history_and_baselines_are_in_the_picture(tmp_path):
    plain = draw(tmp_path / "a.png")
    assert not np.array_equal(plain, draw(tmp_path / "b.png", references={"bz2": 2.0}))
    assert not np.array_equal(plain, draw(tmp_path / "c.png", history=[(100, 4.0, 3.9), (200, 3.0, 2.0)]))
    assert np.array_equal(plain, draw(tmp_path / "d.png"))


def test_a_run_of_one_validation_has_a_picture_too(tmp_path):
    assert draw(tmp_path / "a.png", history=HISTORY[:1]).size > 0
