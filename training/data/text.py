"""A text as symbols: the last tenth is held out, a twentieth before it validates, the rest trains."""

import codecs
import hashlib
import json
import pydoc_data.topics
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.data.settings import TextData
from training.errors import DataInvalid

LARGEST = 2_000_000
# Below this the parts that validate and are held out have too few characters to measure anything.
SHORTEST = 1000
HELD_OUT, VALIDATION = 0.10, 0.05
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text in three parts, in the order they stand in it.

    Attributes:
        symbols: the vocabulary: the characters of the training part, then the symbol for all others.
        note: what a person should know of how it was read; empty where there is nothing.
    """

    train: str
    validation: str
    held_out: str
    symbols: tuple[str, ...]
    licence: str
    note: str

    @property
    def digest(self) -> str:
        """The digest of the whole text."""
        return f"sha256:{hashlib.sha256((self.train + self.validation + self.held_out).encode()).hexdigest()}"

    def encode(self, text: str) -> Tensor:
        """Give the symbols' indices, INT64 `[time]`; a character never seen in training is the last symbol."""
        index = {symbol: i for i, symbol in enumerate(self.symbols)}
        return torch.tensor([index.get(character, len(self.symbols) - 1) for character in text], dtype=torch.int64)

    def vocabulary(self) -> str:
        """Write the symbols as models carry them: a JSON string a line, in the order of their indices."""
        return "".join(f"{json.dumps(symbol)}\n" for symbol in self.symbols)


def load_text(data: TextData, *, shortest: int) -> Text:
    """Read and split a text.

    Args:
        data: where it is.
        shortest: the fewest characters that training can use.

    Raises:
        DataInvalid: the text is missing, empty, too short, or not UTF-8 text.
    """
    text, note = _read(Path(data.path)) if data.path else (_topics(), "")
    named = f"'{data.path}'" if data.path else "Python's documentation topics"
    if not text.strip():
        raise DataInvalid(f"{named} is empty; give a text with `--set data.path=FILE`")
    if len(text) < SHORTEST:
        raise DataInvalid(f"{named} has {len(text)} characters and {SHORTEST} are the fewest; give a longer text")
    ends = [round(len(text) * (1 - HELD_OUT - VALIDATION)), round(len(text) * (1 - HELD_OUT))]
    train = text[: ends[0]]
    if len(train) < shortest:
        raise DataInvalid(
            f"{named} has {len(train)} characters to train on and this recipe needs {shortest}; "
            "give a longer text, or less of `--set training.batch=N` and `--set training.steps=N`"
        )
    symbols = (*sorted(set(train) - {UNKNOWN}), UNKNOWN)
    licence = data.licence or ("the user's own" if data.path else "PSF-2.0, part of Python")
    return Text(train, text[ends[0] : ends[1]], text[ends[1] :], symbols, licence, note)


def _topics() -> str:
    topics = pydoc_data.topics.topics
    return "\n".join(topics[name] for name in sorted(topics))


def _read(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise DataInvalid(f"text file '{path}' cannot be read: {error.strerror}; check `--set data.path`") from error
    whole = len(data) <= LARGEST
    try:
        # Where the file is cut, its last character may be cut too: the decoder leaves such a tail out.
        text = codecs.getincrementaldecoder("utf-8")().decode(data[:LARGEST], final=whole)
    except UnicodeDecodeError as error:
        raise DataInvalid(
            f"text file '{path}' is not UTF-8 text: byte {error.start} cannot be read; convert it, or give another file"
        ) from error
    if (place := text.find("\0")) >= 0:
        raise DataInvalid(f"text file '{path}' is binary: character {place} is NUL; give a text")
    return text, "" if whole else f"only the first {LARGEST / 1e6:g} MB of '{path}' are used"
