import errno
import gzip
import hashlib

import pytest

from training.data import fetch as module
from training.data.fetch import fetch
from training.data.sets import DataSet, File, Listing, Source
from training.errors import FetchFailed


def total(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_set(*files: File, listing: Listing | None = None) -> DataSet:
    return DataSet("", "", "", "", "", (Source("who/what", "c0ffee", "data", files, listing),))


@pytest.fixture
def bring(mirror, tmp_path):
    return lambda data_set: fetch(data_set, tmp_path / "set", mirror.address, lambda *_: None)


def test_every_file_is_put_where_the_table_says(bring, mirror, tmp_path):
    mirror.files = {"who/what/c0ffee/data/en/a.txt": b"a", "who/what/c0ffee/LICENSE": b"free"}
    bring(a_set(File("en/a.txt", 1, total(b"a")), File("LICENSE", 4, total(b"free"), source="LICENSE")))
    assert (tmp_path / "set" / "en" / "a.txt").read_bytes() == b"a"
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["LICENSE", "en"]


def test_what_is_here_and_right_is_not_asked_for_and_what_is_damaged_is_mended(bring, mirror, tmp_path):
    mirror.files = {"who/what/c0ffee/data/a": b"a", "who/what/c0ffee/data/b": b"b"}
    data_set = a_set(File("a", 1, total(b"a")), File("b", 1, total(b"b")))
    bring(data_set)
    (tmp_path / "set" / "b").write_bytes(b"damaged")
    mirror.asked.clear()
    bring(data_set)
    assert mirror.asked == [("who/what/c0ffee/data/b", 0)]
    assert (tmp_path / "set" / "b").read_bytes() == b"b"


def test_a_wrong_sum_is_a_line_and_leaves_nothing_behind(bring, mirror, tmp_path):
    mirror.files = {"who/what/c0ffee/data/a": b"other"}
    with pytest.raises(FetchFailed) as caught:
        bring(a_set(File("a", 1, total(b"a"))))
    assert str(caught.value) == (
        "'a' is not what was published, its sha256 is another; it was removed: try again, or another `--mirror`"
    )
    assert list((tmp_path / "set").iterdir()) == []


def test_what_was_there_stays_until_the_new_file_is_whole_and_right(bring, mirror, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_bytes(b"old")
    mirror.files = {"who/what/c0ffee/data/a": b"new" * 10}
    mirror.cut["who/what/c0ffee/data/a"] = 5
    with pytest.raises(FetchFailed, match="cut after"):
        bring(a_set(File("a", 30, total(b"new" * 10))))
    assert (tmp_path / "set" / "a").read_bytes() == b"old"
    bring(a_set(File("a", 30, total(b"new" * 10))))
    assert (tmp_path / "set" / "a").read_bytes() == b"new" * 10
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["a"]


def test_a_piece_that_is_all_there_is_not_brought_again(bring, mirror):
    mirror.files = {f"who/what/c0ffee/p{i}": b"no picture" * 20_000 for i in range(2)}
    mirror.cut["who/what/c0ffee/p1"] = 100_000
    data_set = a_set(File("a.gz", 9, total(b"a"), source="p{}", pieces=2, change="images to idx"))
    with pytest.raises(FetchFailed, match="cut after"):
        bring(data_set)
    with pytest.raises(FetchFailed, match=r"'a\.gz' is not what was published"):
        bring(data_set)
    (whole, first), (cut, second) = mirror.asked[2:]
    assert (whole, first) == ("who/what/c0ffee/p0", 200_000)
    assert cut == "who/what/c0ffee/p1"
    assert 0 < second <= 100_000


def test_the_sum_of_a_packed_file_is_that_of_its_content(bring, mirror, tmp_path):
    mirror.files = {"who/what/c0ffee/data/a.gz": gzip.compress(b"a", 1), "who/what/c0ffee/data/b": b"b"}
    bring(a_set(File("a.gz", 1, total(b"a")), File("b.gz", 1, total(b"b"), source="data/b", change="pack")))
    assert gzip.decompress((tmp_path / "set" / "b.gz").read_bytes()) == b"b"


LISTING = Listing(total(f"{total(b'a')}  a.wav\n{total(b'b')}  b.wav\n".encode()), "{}.wav", (("a", "b"),))


def test_listed_files_are_brought_and_checked_together(bring, mirror):
    mirror.files = {"who/what/c0ffee/data/a.wav": b"a", "who/what/c0ffee/data/b.wav": b"b"}
    mirror.cut["who/what/c0ffee/data/b.wav"] = 0
    with pytest.raises(FetchFailed, match="cut after 0 bytes"):
        bring(a_set(listing=LISTING))
    bring(a_set(listing=LISTING))
    bring(a_set(listing=LISTING))
    assert [path for path, _ in mirror.asked] == [f"who/what/c0ffee/data/{name}.wav" for name in "abb"]


def test_listed_files_of_another_sum_are_removed(bring, mirror, tmp_path):
    mirror.files = {"who/what/c0ffee/data/a.wav": b"a", "who/what/c0ffee/data/b.wav": b"other"}
    with pytest.raises(FetchFailed, match="the 2 files of 'who/what' are not those published"):
        bring(a_set(listing=LISTING))
    assert list((tmp_path / "set").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_line(bring, mirror, tmp_path):
    (tmp_path / "set").write_text("a file where the folder should be")
    with pytest.raises(FetchFailed, match=r"set/a' cannot be written: (File exists|Not a directory)$"):
        bring(a_set(File("a", 1, total(b"a"))))
    assert mirror.asked == []


def test_a_disk_that_is_full_when_the_file_is_packed_is_a_line(bring, mirror, monkeypatch):
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    mirror.files = {"who/what/c0ffee/data/a": b"a"}
    monkeypatch.setattr(module, "change", fill)
    with pytest.raises(FetchFailed, match="set/a' cannot be written: No space left on device"):
        bring(a_set(File("a", 1, total(b"a"))))


def test_the_bar_is_told_of_every_file(mirror, tmp_path):
    mirror.files = {"who/what/c0ffee/data/a": b"aa"}
    told = []
    fetch(a_set(File("a", 2, total(b"aa"))), tmp_path, mirror.address + "/", lambda *one: told.append(one))
    assert told == [("a", 2, 2)]
