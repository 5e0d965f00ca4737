import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.own import lines as module
from training.data.own.lines import line_chunks
from training.errors import DataInvalid


def read(path, content: bytes) -> list[tuple[int, str]]:
    path.write_bytes(content)
    return [(first + i, line) for first, lines in line_chunks(path) for i, line in enumerate(lines)]


@given(
    lines=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\N{BOM}"), max_size=20), min_size=1),
    end=st.sampled_from(["\n", "\r\n"]),
    closed=st.booleans(),
    chunk_bytes=st.integers(100, 300),
)
def test_lines_come_with_their_numbers_wherever_chunks_end(lines, end, closed, chunk_bytes, tmp_path_factory):
    content = end.join(lines) + end * closed
    expected = lines if closed or lines[-1] else lines[:-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_BYTES", chunk_bytes)
        found = read(tmp_path_factory.mktemp("lines") / "a", content.encode())
    assert found == list(enumerate(expected, 1))


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_line(tmp_path):
    assert read(tmp_path / "a", b"\xef\xbb\xbfx\ny\n") == [(1, "x"), (2, "y")]


@pytest.mark.parametrize("chunk_bytes", [8, 1000])
def test_the_line_that_is_no_utf_8_is_named(tmp_path, monkeypatch, chunk_bytes):
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    with pytest.raises(DataInvalid, match=r"a' line 3 is not UTF-8 text; convert the file$"):
        read(tmp_path / "a", b"good\ngood\nb\xffd\ngood\n")


def test_a_file_without_lines_is_no_text(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 100)
    with pytest.raises(DataInvalid, match=r"line 2 is longer than 100 bytes; is it text\?"):
        read(tmp_path / "a", b"x\n" + b"y" * 500)


def test_a_file_that_is_not_there_is_a_line(tmp_path):
    with pytest.raises(DataInvalid, match=r"gone' cannot be read: No such file or directory$"):
        list(line_chunks(tmp_path / "gone"))


def test_an_empty_file_has_no_lines(tmp_path):
    assert read(tmp_path / "a", b"") == []
