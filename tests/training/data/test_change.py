import gzip

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from training.data.change import change
from training.data.sets import File


def pieces(folder, *contents):
    paths = [folder / f"piece{i}" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_a_file_is_what_was_downloaded_unless_the_table_says_otherwise(tmp_path):
    change(File("a"), pieces(tmp_path, b"content"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"content"


def test_a_plain_source_is_packed(tmp_path):
    change(File("a.gz", change="pack"), pieces(tmp_path, b"content"), tmp_path / "a.gz")
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"content"


def test_of_a_source_with_more_in_it_the_first_bytes_are_kept(tmp_path):
    change(File("a", bytes=4, change="first bytes"), pieces(tmp_path, b"content"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"cont"


def test_pictures_with_a_digit_a_row_become_the_idx_file_of_them_all(tmp_path):
    rows = np.arange(3 * 784).reshape(3, 784).astype(np.uint8)
    for name, part in (("0.png", rows[:2]), ("1.png", rows[2:])):
        Image.fromarray(part).save(tmp_path / name)
    change(File("a.gz", change="images to idx"), [tmp_path / "0.png", tmp_path / "1.png"], tmp_path / "a.gz")
    content = gzip.decompress((tmp_path / "a.gz").read_bytes())
    assert content == bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 28, 0, 0, 0, 28]) + rows.tobytes()


def test_what_is_no_picture_is_an_error(tmp_path):
    with pytest.raises(UnidentifiedImageError):
        change(File("a.gz", change="images to idx"), pieces(tmp_path, b"no picture"), tmp_path / "a.gz")
