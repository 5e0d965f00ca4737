"""The user's own data looked at before anything is trained on it."""

import tomllib
from pathlib import Path

import msgspec

from training.data.own.settings import TableData, WavData
from training.data.own.table import open_table
from training.data.own.wavs import open_wavs
from training.data.series import PARTS
from training.errors import WrongUse


def check_recipe(path: Path) -> str:
    """Read what the `[data]` table of a recipe names, and say what is in it.

    Raises:
        WrongUse: the recipe cannot be read, or its table is not one of the user's own data.
        DataInvalid: the data cannot be used.
    """
    data = _settings(path)
    if isinstance(data, WavData):
        wavs = open_wavs(data)
        rule, note = wavs.parts.rule, wavs.note
        sizes = " / ".join(str(len(part)) for part in (wavs.parts.train, wavs.parts.validation, wavs.parts.test))
        said = f"{len(wavs.classes)} classes, {wavs.rate} samples a second, {wavs.channels} channels; files {sizes}"
    else:
        table = open_table(data)
        rule, note = table.parts.rule, table.counts.note
        said = f"{table.counts.rows} rows; sequences {' / '.join(str(table.counts.sequences[part]) for part in PARTS)}"
    return f"'{data.path}': {said} (train / validation / test, {rule})\n" + (f"{note}\n" if note else "")


def _settings(path: Path) -> TableData | WavData:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(tables.get("data", {}), TableData | WavData)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUse(f"recipe '{path}' cannot be read: {error}") from error
    except msgspec.ValidationError as error:
        raise WrongUse(f"recipe '{path}', [data]: {error}") from error
