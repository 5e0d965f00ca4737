"""Captions of images in English and German, lower case and tokenised, for translation."""

from dataclasses import dataclass
from pathlib import Path

from training.data.series import Parts


@dataclass(frozen=True, slots=True)
class Pair:
    """A caption's tokens in both languages."""

    english: tuple[str, ...]
    german: tuple[str, ...]


def load_multi30k(folder: Path) -> Parts[list[Pair]]:
    """Read the three parts as released; test is that of 2016, from Flickr."""
    train, validation, test = (_read(folder / "tok", part) for part in ("train", "val", "test_2016_flickr"))
    return Parts(train, validation, test, "as released")


def _read(folder: Path, part: str) -> list[Pair]:
    english, german = (
        (folder / f"{part}.lc.norm.tok.{language}").read_text(encoding="utf-8").rstrip("\n").split("\n")
        for language in ("en", "de")
    )
    return [Pair(tuple(one.split()), tuple(other.split())) for one, other in zip(english, german, strict=True)]
