"""Opens what a recipe's `[data]` table names."""

import hashlib
from pathlib import Path

from training.data.baselines import baselines
from training.data.data import Data, Sequences, digest_of_parts
from training.data.forms import open_set
from training.data.own.mapped import mapped
from training.data.own.settings import TableData, WavData
from training.data.own.table import open_table
from training.data.own.wavs import open_wavs
from training.data.series import Parts, Series
from training.data.settings import SetData, TextData
from training.data.text import Text, load_text

OWN = "the user's own"
Settings = TextData | SetData | TableData | WavData


def open_data(settings: Settings, *, shortest: int) -> Data:
    """Read what a recipe trains on.

    Args:
        settings: the recipe's `[data]` table.
        shortest: of a text, the fewest characters that training can use.

    Raises:
        DataInvalid: it is missing, damaged, or not what its kind needs; the sentence says what to do.
        WrongUse: options that the set cannot have.
    """
    match settings:
        case TextData():
            return _of_text(load_text(settings, shortest=shortest))
        case SetData():
            return open_set(settings)
        case TableData():
            return _of_table(settings)
        case WavData():
            return _of_wavs(settings)


def _of_text(text: Text) -> Data:
    whole = Parts(text.train, text.validation, text.held_out, "in order")
    parts: Parts[Sequences] = whole.each(lambda part: [_next_symbols(text, part)])
    kinds = len(text.symbols)
    return Data(parts, kinds, kinds, text.licence, text.digest, text.note, text.symbols, baselines=baselines(text))


def _next_symbols(text: Text, part: str) -> Series:
    symbols = text.encode(part).numpy()
    return Series(symbols[:-1], symbols[1:])


def _of_table(settings: TableData) -> Data:
    table = open_table(settings)
    parts: Parts[Sequences] = table.parts.each(mapped)
    licence = settings.licence or OWN
    with Path(settings.path).open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    classes = settings.classes
    return Data(parts, 0, len(classes), licence, digest, table.counts.note, labels=classes)


def _of_wavs(settings: WavData) -> Data:
    wavs = open_wavs(settings)
    parts: Parts[Sequences] = wavs.parts.each(mapped)
    classes = tuple(wavs.classes)
    return Data(parts, 0, len(classes), settings.licence or OWN, digest_of_parts(parts), wavs.note, labels=classes)
