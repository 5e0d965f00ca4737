from typing import Literal

import pytest

from training.options import Count, Share, check_options, options_of


class Built:
    """Something with options of every kind."""

    def __init__(
        self,
        size: int,
        *,
        share: Share = 0.5,
        counts: tuple[Count, ...] = (1, 2),
        way: Literal["in", "out"] = "in",
        most: Count | None = None,
    ) -> None:
        self.given = (size, share, counts, way, most)


def function(size: int, *, deep: bool = False) -> bool:
    return deep and size > 0


def test_options_are_the_keyword_arguments_of_a_class_or_a_function():
    assert options_of(Built) == {"share": 0.5, "counts": (1, 2), "way": "in", "most": None}
    assert options_of(function) == {"deep": False}


def test_what_is_not_given_has_its_default_and_what_is_given_its_type():
    assert check_options(Built, {"counts": [3], "most": 4}) == {"share": 0.5, "counts": (3,), "way": "in", "most": 4}
    assert check_options(function, {}) == {"deep": False}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"share": 1}, "cell.share: Expected `float` < 1.0, got 1"),
        ({"counts": [1, 0]}, "cell.counts[1]: Expected `int` >= 1"),
        ({"counts": 1}, "cell.counts: Expected `array`, got `int`"),
        ({"way": "up"}, "cell.way: Invalid enum value 'up'"),
        ({"most": "all"}, "cell.most: Expected `int | null`, got `str`"),
        ({"size": 1}, "cell: there is no key 'size'; there is share, counts, way, most"),
    ],
)
def test_a_wrong_option_is_named(options, sentence):
    with pytest.raises(ValueError, match=r".") as caught:
        check_options(Built, options)
    assert str(caught.value) == sentence
