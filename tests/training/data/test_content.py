import gzip
import hashlib
import zlib

import pytest

from training.data.content import open_content, sha256


def test_a_packed_file_has_the_sum_of_what_it_unpacks_to(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"content")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"content"))
    assert sha256(tmp_path / "a.txt") == sha256(tmp_path / "a.txt.gz") == hashlib.sha256(b"content").hexdigest()


def test_content_is_bytes_whether_packed_or_not(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\xff"))
    for name in ("a", "a.gz"):
        with open_content(tmp_path / name) as content:
            assert content.read() == b"\xff"


@pytest.mark.parametrize("damaged", [b"no gzip", gzip.compress(b"content" * 99, mtime=0)[:-12]], ids=["text", "cut"])
def test_a_damaged_packed_file_raises(tmp_path, damaged):
    (tmp_path / "a.gz").write_bytes(damaged)
    with pytest.raises((OSError, EOFError, zlib.error)):
        sha256(tmp_path / "a.gz")
