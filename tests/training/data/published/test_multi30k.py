import pytest

from training.data.published.multi30k import load_multi30k


def test_pairs_and_tokens_are_as_many_as_was_published(data_folder):
    parts = load_multi30k(data_folder("multi30k"))
    expected = [
        (parts.train, 29000, 377534, 360706),
        (parts.validation, 1014, 13308, 12828),
        (parts.test, 1000, 12968, 12103),
    ]
    for pairs, count, english, german in expected:
        assert len(pairs) == count
        assert sum(len(pair.english) for pair in pairs) == english
        assert sum(len(pair.german) for pair in pairs) == german


def test_files_of_different_lengths_are_no_pairs(tmp_path):
    (tmp_path / "tok").mkdir()
    (tmp_path / "tok" / "train.lc.norm.tok.en").write_text("a dog\na cat\n")
    (tmp_path / "tok" / "train.lc.norm.tok.de").write_text("ein hund\n")
    with pytest.raises(ValueError, match="shorter"):
        load_multi30k(tmp_path)
