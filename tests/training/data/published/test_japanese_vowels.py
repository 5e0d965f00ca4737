import numpy as np

from training.data.published.japanese_vowels import load_japanese_vowels


def test_the_series_are_as_many_and_as_long_as_was_published(data_folder):
    parts = load_japanese_vowels(data_folder("japanese_vowels"))
    known = parts.train + parts.validation
    assert np.bincount([one.targets for one in known]).tolist() == [30] * 9
    assert np.bincount([one.targets for one in parts.test]).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    for series, lengths in ((known, (7, 26, 4274)), (parts.test, (7, 29, 5687))):
        found = [len(one.inputs) for one in series]
        assert (min(found), max(found), sum(found)) == lengths
    assert {one.inputs.shape[1] for one in known + parts.test} == {12}


def test_channels_are_features_and_classes_begin_at_0(tmp_path):
    for part in ("TRAIN", "TEST"):
        (tmp_path / f"JapaneseVowels_{part}.ts").write_text("# note\n@data\n1,2,3:4,5,6:2\n")
    (series,) = load_japanese_vowels(tmp_path).test
    assert series.inputs.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert series.targets == 1
