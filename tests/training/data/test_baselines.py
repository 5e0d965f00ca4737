import bz2
import lzma
import math
import random

import pytest

from training.data.baselines import baselines
from training.data.text import UNKNOWN, Text


def text(train: str, held_out: str, validation: str = "") -> Text:
    return Text(train, validation, held_out, (*sorted(set(train)), UNKNOWN), "", "")


def test_unigram_is_the_add_one_cross_entropy_of_what_came_before():
    # Seen: a 3 times, b once; each gets one more, and so does c, never seen: shares 4/7, 2/7, 1/7.
    expected = -(math.log2(4 / 7) + math.log2(2 / 7) + math.log2(1 / 7)) / 3
    assert baselines(text("aab", "abc", validation="a"))["unigram"] == pytest.approx(expected)


def test_unigram_of_equal_shares_is_the_logarithm_of_their_number():
    assert baselines(text("abcdefgh" * 50, "hgfedcba"))["unigram"] == pytest.approx(3.0)


def test_bz2_is_the_size_of_the_held_out_part_alone():
    held_out = "held out é " * 40
    expected = 8 * len(bz2.compress(held_out.encode())) / len(held_out)
    assert baselines(text("other" * 99, held_out))["bz2"] == expected


def test_xz_has_read_what_came_before():
    words = random.Random(0)
    passage = "".join(words.choice("abcdefghijklmnop") for _ in range(4000))
    found = baselines(text(passage, passage))
    alone = 8 * len(lzma.compress(passage.encode())) / len(passage)
    assert found["xz"] < 0.1 < 3 < alone
