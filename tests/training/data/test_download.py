import socket

import pytest
import urllib3

from training.data.download import download, open_pool
from training.errors import FetchFailed

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def bring(mirror, tmp_path):
    """Download `file` of the mirror to `tmp_path/part`, and give what the bar was told."""

    def run() -> list[tuple[int, int | None]]:
        moved = []
        with open_pool(mirror.address) as pool:
            download(pool, f"{mirror.address}/file", tmp_path / "part", lambda *told: moved.append(told))
        return moved

    mirror.files["file"] = CONTENT
    return run


def test_an_address_is_brought_and_the_bar_is_told_all_of_it(bring, tmp_path):
    moved = bring()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert moved[-1] == (len(CONTENT), len(CONTENT))
    assert [there for there, _ in moved] == sorted(there for there, _ in moved)


def test_a_connection_that_is_cut_keeps_what_came_and_the_next_call_goes_on_from_there(bring, mirror, tmp_path):
    mirror.cut["file"] = 100_000
    with pytest.raises(FetchFailed) as caught:
        bring()
    there = (tmp_path / "part").stat().st_size
    assert 0 < there <= 100_000
    assert str(caught.value) == (
        f"the connection was cut after {there} bytes of '{mirror.address}/file'; the same command goes on from there"
    )
    moved = bring()
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert mirror.asked == [("file", 0), ("file", there)]
    assert moved[-1] == (len(CONTENT), len(CONTENT))


def test_a_server_without_ranges_sends_it_all_again(bring, mirror, tmp_path):
    mirror.ranges = False
    (tmp_path / "part").write_bytes(CONTENT[:1000])
    bring()
    assert mirror.asked == [("file", 1000)]
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_server_that_sends_another_part_is_refused_and_what_came_before_is_kept(bring, mirror, tmp_path):
    mirror.late = 10
    (tmp_path / "part").write_bytes(CONTENT[:1000])
    with pytest.raises(FetchFailed, match="answers with other bytes than were asked for"):
        bring()
    assert (tmp_path / "part").read_bytes() == CONTENT[:1000]


def test_what_is_all_there_is_left_as_it_is(bring, mirror, tmp_path):
    (tmp_path / "part").write_bytes(CONTENT)
    assert bring() == []
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_an_address_with_nothing_there_says_so(mirror, bring):
    del mirror.files["file"]
    with pytest.raises(FetchFailed, match=r"/file' answers 404 Not Found; is `--mirror` right\?"):
        bring()


def test_a_server_that_is_not_there_cannot_be_reached(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with open_pool(address) as pool, pytest.raises(FetchFailed) as caught:
        download(pool, f"{address}/file", tmp_path / "part", lambda *_: None)
    assert "cannot be reached: Failed to establish a new connection: [Errno 111] Connection refused" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


def test_a_full_disk_says_so(bring, tmp_path):
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(
        FetchFailed, match=r"part' cannot be written: No space left on device; the same command goes on"
    ):
        bring()


def test_the_proxy_of_the_environment_is_used_but_not_for_hosts_that_it_leaves_out(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "near.example")
    assert isinstance(open_pool("http://far.example"), urllib3.ProxyManager)
    assert not isinstance(open_pool("http://near.example"), urllib3.ProxyManager)
