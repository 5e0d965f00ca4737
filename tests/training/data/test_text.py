import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.data import text as module
from training.data.settings import TextData
from training.data.text import LARGEST, SHORTEST, UNKNOWN, load_text
from training.errors import DataInvalid


def load(path, content=None, shortest=1):
    if content is not None:
        path.write_bytes(content)
    return load_text(TextData(path=str(path)), shortest=shortest)


def test_the_default_is_the_documentation_that_ships_with_python():
    text = load_text(TextData(), shortest=1)
    assert len(text.train + text.validation + text.held_out) > 400_000
    assert text.digest == load_text(TextData(), shortest=1).digest
    assert "PSF" in text.licence
    assert text.note == ""


@given(
    content=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).map(lambda t: t + "." * SHORTEST)
)
def test_the_parts_are_the_text_in_order_and_the_last_tenth_is_held_out(content, tmp_path_factory):
    text = load(tmp_path_factory.mktemp("text") / "a.txt", content.encode())
    assert text.train + text.validation + text.held_out == content
    assert abs(len(text.held_out) - len(content) / 10) <= 1
    assert abs(len(text.validation) - len(content) / 20) <= 1


@given(content=st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(lambda t: t + "." * SHORTEST))
def test_the_vocabulary_is_a_json_string_a_line_and_decodes_what_was_encoded(content, tmp_path_factory):
    text = load(tmp_path_factory.mktemp("text") / "a.txt", content.encode())
    symbols = [json.loads(line) for line in text.vocabulary().splitlines()]
    assert tuple(symbols) == text.symbols
    assert len(set(symbols)) == len(symbols)
    assert symbols[-1] == "\N{REPLACEMENT CHARACTER}"
    indices = text.encode(text.train)
    assert indices.dtype == torch.int64
    assert "".join(symbols[i] for i in indices) == text.train


def test_a_character_never_seen_in_training_is_the_last_symbol(tmp_path):
    text = load(tmp_path / "a.txt", ("ab" * SHORTEST + "é").encode())
    assert text.symbols == ("a", "b", UNKNOWN)
    assert text.held_out.endswith("é")
    assert text.encode("aéb☃").tolist() == [0, 2, 1, 2]


def test_of_a_large_file_the_first_part_is_used_and_it_says_so(tmp_path):
    text = load(tmp_path / "a.txt", b"a" * (LARGEST + 1))
    assert len(text.train + text.validation + text.held_out) == LARGEST == 2_000_000
    assert text.note == f"only the first 2 MB of '{tmp_path / 'a.txt'}' are used"


def test_a_file_of_just_the_limit_is_used_whole_and_nothing_is_said(tmp_path):
    assert load(tmp_path / "a.txt", b"a" * LARGEST).note == ""


@pytest.mark.parametrize("offset", range(4))
def test_the_cut_is_at_a_characters_boundary(tmp_path, offset):
    text = load(tmp_path / "a.txt", b"a" * offset + "\N{SNAKE}".encode() * (LARGEST // 4 + 1))
    whole = text.train + text.validation + text.held_out
    assert whole == "a" * offset + "\N{SNAKE}" * ((LARGEST - offset) // 4)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; give a text"),
        (b" \n\n ", "is empty; give a text"),
        (b"short", "has 5 characters and 1000 are the fewest"),
        (b"a" * 2000 + b"\xff\xfe", "is not UTF-8 text: byte 2000"),
        (b"a" * 2000 + b"\xe2\x82", "is not UTF-8 text: byte 2000"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2000), "is not UTF-8 text: byte 0"),
        (b"a" * 2000 + b"\0", "is binary: character 2000 is NUL"),
    ],
)
def test_a_file_that_is_no_text_to_train_on_is_refused_in_one_line(tmp_path, content, sentence):
    with pytest.raises(DataInvalid) as caught:
        load(tmp_path / "a.txt", content)
    assert sentence in str(caught.value)
    assert str(tmp_path / "a.txt") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_too_short_for_the_batch_says_what_to_change(tmp_path):
    with pytest.raises(
        DataInvalid, match=r"1700 characters to train on and this recipe needs 5050; .*training.batch=N"
    ):
        load(tmp_path / "a.txt", b"a" * 2000, shortest=5050)


@pytest.mark.parametrize(("name", "sentence"), [("gone.txt", "No such file"), (".", "Is a directory")])
def test_a_path_that_cannot_be_read_is_refused_in_one_line(tmp_path, name, sentence):
    with pytest.raises(DataInvalid, match=sentence):
        load(tmp_path / name)


def test_the_digest_is_of_the_text_that_is_used(tmp_path):
    one = load(tmp_path / "a.txt", b"a" * 2000)
    assert one.digest == load(tmp_path / "b.txt", b"a" * 2000).digest
    assert one.digest != load(tmp_path / "c.txt", b"a" * 1999 + b"b").digest


def test_the_topics_are_joined_in_an_order_that_does_not_change(monkeypatch):
    monkeypatch.setattr(module.pydoc_data.topics, "topics", {"b": "two" * 300, "a": "one" * 300})
    assert load_text(TextData(), shortest=1).train.startswith("one" * 300 + "\ntwo")
