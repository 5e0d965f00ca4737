"""Sentences of the English Web Treebank, every word with its part of speech."""

from dataclasses import dataclass
from pathlib import Path

from training.data.content import open_content
from training.data.series import Parts


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words, and of each the universal tag and the treebank's own."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    treebank_tags: tuple[str, ...]


def load_ud_english_ewt(folder: Path) -> Parts[list[Sentence]]:
    """Read the three parts as released; tokens of several words are left out, their words are there."""
    train, validation, test = (_read(folder / f"en_ewt-ud-{part}.conllu.gz") for part in ("train", "dev", "test"))
    return Parts(train, validation, test, "as released")


def _read(path: Path) -> list[Sentence]:
    with open_content(path) as content:
        blocks = content.read().decode().strip("\n").split("\n\n")
    return [_sentence(block) for block in blocks]


def _sentence(block: str) -> Sentence:
    rows = [line.split("\t") for line in block.split("\n") if not line.startswith("#")]
    # Whole numbers alone are words: `3-4` is a token of several, `8.1` one that the text leaves out.
    words, tags, treebank_tags = zip(*((row[1], row[3], row[4]) for row in rows if row[0].isdigit()), strict=True)
    return Sentence(words, tags, treebank_tags)
