"""Surnames of 18 languages: a language is told from a name, or a name is made for a language."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from training.data.series import Parts, part_by_seed


@dataclass(frozen=True, slots=True)
class Name:
    """A name and the language that it was listed under."""

    text: str
    language: str


def load_names(folder: Path, seed: int = 0) -> Parts[list[Name]]:
    """Read every list, in the order of the languages; characters are composed (NFC) and spaces made plain."""
    lists = sorted(path for path in folder.glob("*.txt") if path.name != "SOURCE.txt")
    return part_by_seed([Name(text, path.stem) for path in lists for text in _lines(path)], seed)


def _lines(path: Path) -> list[str]:
    text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8")).replace("\N{NO-BREAK SPACE}", " ")
    return [line.strip() for line in text.split("\n") if line.strip()]
