from collections import Counter

import numpy as np
import pytest

from training.data.published.fsdd import SPEAKERS, load_fsdd
from training.errors import WrongUse


def test_the_official_split_is_as_published(data_folder):
    parts = load_fsdd(data_folder("fsdd"))
    known = parts.train + parts.validation
    assert (len(known), len(parts.validation), len(parts.test)) == (2700, 270, 300)
    assert {one.number for one in parts.test} == set(range(5))
    assert set(Counter((one.digit, one.speaker) for one in known + parts.test).values()) == {50}
    lengths = [len(one.sound.samples) / 8000 for one in known + parts.test]
    assert (round(sum(lengths), 1), round(min(lengths), 4), round(max(lengths), 3)) == (1312.3, 0.1435, 2.283)


def test_a_recording_is_sound_and_its_digit(data_folder):
    one = load_fsdd(data_folder("fsdd")).test[-1]
    assert (one.sound.samples.shape[1], one.sound.rate, one.digit) == (1, 8000, 9)
    assert np.abs(one.sound.samples).max() <= 1


def test_a_speaker_who_is_left_out_is_the_whole_of_test_and_nowhere_else(data_folder):
    parts = load_fsdd(data_folder("fsdd"), left_out="theo")
    assert (len(parts.train) + len(parts.validation), len(parts.test)) == (2500, 500)
    assert {one.speaker for one in parts.test} == {"theo"}
    assert {one.speaker for one in parts.train + parts.validation} == set(SPEAKERS) - {"theo"}
    assert "theo is left out" in parts.rule


def test_an_unknown_speaker_is_refused(tmp_path):
    with pytest.raises(WrongUse, match="speaker 'bach' is not one of george, "):
        load_fsdd(tmp_path, left_out="bach")
