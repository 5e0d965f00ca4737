"""Reads the configuration file: TOML, top-level keys as the flags are named, a table for each model that differs."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.manifest import check_name
from server.options import FILE, OPTIONS, PER_MODEL, Option, SettingError

CONFIG = Option("--config", FILE, None, "a TOML file of settings, with a table [models.NAME] for each that differs")
MODELS = "models"


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says: values for all, and for single models by name."""

    values: Mapping[str, object]
    models: Mapping[str, Mapping[str, object]]


def read_config(path: Path) -> Config:
    """Read the file; raises SettingError with one line that names file, table, key, what came and what is expected."""
    document = _document(path)
    tables = document.pop(MODELS, {})
    if not isinstance(tables, dict):
        raise SettingError(f"{path}: {MODELS} is {_shown(tables)}: tables [models.NAME] are expected")
    models = {}
    for name, table in tables.items():
        place = f"{path}: [{MODELS}.{name}]"
        if not isinstance(table, dict):
            raise SettingError(f"{path}: [{MODELS}] {name} is {_shown(table)}: a table [models.NAME] is expected")
        try:
            check_name(name)
        except ValueError as error:
            raise SettingError(f"{place} {error}") from None
        models[name] = _values(place, table, PER_MODEL)
    return Config(_values(f"{path}:", document, OPTIONS), models)


def _document(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{CONFIG.flag} is '{path}': it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{path}: is not UTF-8 text; TOML is expected") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: is not TOML: {error}") from error


def _values(place: str, table: Mapping[str, object], options: Sequence[Option]) -> dict[str, object]:
    known = {option.field: option.kind for option in options}
    values = {}
    for key, value in table.items():
        if key not in known:
            raise SettingError(f"{place} unknown key '{key}' = {_shown(value)}: one of {', '.join(known)} is expected")
        try:
            values[key] = known[key].from_toml(value)
        except SettingError as error:
            raise SettingError(f"{place} {key} is {_shown(value)}: {error}") from None
    return values


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    return str(value).lower() if isinstance(value, bool) else repr(value)
