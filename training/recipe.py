"""A recipe: what to train, on what, how; a TOML file whose every key is known and checked."""

import hashlib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from models.manifest import check_name
from training.architectures import ARCHITECTURES, check_cell
from training.errors import WrongUse
from training.options import Count, Positive, Share

RECIPES = Path(__file__).parent / "recipes"

_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a recipe, closed to keys it does not know."""


class TextData(_Table, frozen=True, tag_field="kind", tag="text"):
    """A text, symbol by symbol; without a path the documentation topics that ship with Python."""

    path: str = ""
    licence: str = ""


class ModelSettings(_Table, frozen=True):
    """Sizes of the model."""

    embedding_size: Count
    hidden_size: Count
    dropout: Share = 0.0


class TrainingSettings(_Table, frozen=True):
    """How the model is trained.

    Attributes:
        updates: the budget; the learning rate falls to zero over it.
        batch: rows, each a stretch of the text whose state is carried from update to update.
        steps: time steps that gradients go back through.
        clip: the largest norm of the gradient.
        validate_every: updates between validations, each of which writes a checkpoint.
        patience: validations without a gain after which training stops early.
    """

    updates: Count
    batch: Count
    steps: Count
    learning_rate: Positive
    clip: Positive
    validate_every: Count = 100
    patience: Count = 10
    seed: int = 0


class ExportSettings(_Table, frozen=True):
    """What is made of the trained model; `int8` publishes a quantized variant beside it."""

    int8: bool = False


class Recipe(_Table, frozen=True):
    """The whole recipe.

    Attributes:
        name: what the model is published under; `int8_name` is what its int8 variant is.
        cell: the architecture's own options.
    """

    name: str
    architecture: str
    data: TextData
    model: ModelSettings
    training: TrainingSettings
    cell: dict[str, Any] = {}
    export: ExportSettings = ExportSettings()

    def __post_init__(self) -> None:
        """Check what no type says: the names become folders', and the architecture is one of the table."""
        check_name(self.name)
        if self.export.int8:
            check_name(self.int8_name)
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture '{self.architecture}' is not one of {', '.join(sorted(ARCHITECTURES))}")
        check_cell(self.architecture, self.cell)

    @property
    def digest(self) -> str:
        """Eight digits that tell these settings from others; what is made of the trained model is none of them."""
        settings = msgspec.structs.asdict(self)
        del settings["export"]
        # Apart, so that a recipe that sets none has the digest that it had before there were any.
        options = settings.pop("cell")
        told = msgspec.json.encode(options, order="deterministic") if options else b""
        return hashlib.sha256(msgspec.json.encode(settings) + told).hexdigest()[:8]

    @property
    def int8_name(self) -> str:
        """What the int8 variant is published under."""
        return f"{self.name}-int8"


def recipe_names() -> list[str]:
    """The recipes that Recur ships."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def read_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a file by its path; raises WrongUse that names the key and what is wrong.

    Args:
        name: a shipped recipe's name, or a path that ends in `.toml`.
        overrides: `table.key=value`, the value as TOML has it; a bare word is a string.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WrongUse(
            f"no recipe '{name}'; there is {', '.join(recipe_names())}, or the path of a .toml file"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUse(f"recipe '{name}' cannot be read: {error}") from error
    # The tables that a recipe may leave out are still there to be changed.
    for table in ("cell", "export"):
        tables.setdefault(table, {})
    for override in overrides:
        _override(tables, override)
    try:
        return msgspec.convert(tables, Recipe)
    except msgspec.ValidationError as error:
        raise WrongUse(f"recipe '{name}': {_as_sentence(error, tables)}") from error


def _override(tables: dict[str, object], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise WrongUse(f"--set {override}: TABLE.KEY=VALUE is expected, for example training.updates=500")
    *parents, last = key.split(".")
    table = tables
    for parent in parents:
        inner = table.get(parent)
        if not isinstance(inner, dict):
            raise WrongUse(f"--set {key}: there is no table '{parent}'; there is {', '.join(table)}")
        table = inner
    table[last] = _value(text)


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _as_sentence(error: msgspec.ValidationError, tables: dict[str, object]) -> str:
    """Name the key first, then what was expected and what came: `training.batch: Expected `int` >= 1, got 0`."""
    text = str(error)
    place = _PLACE.search(text)
    key = place[1] if place else ""
    text = text[: place.start()] if place else text
    if unknown := _UNKNOWN.search(text):
        text = f"there is no key '{unknown[1]}'; there is {', '.join(_keys(key))}"
    value: object = tables
    for part in filter(None, key.split(".")):
        value = value.get(part, {}) if isinstance(value, dict) else value
    came = f", got {value!r}" if text.startswith("Expected") and "got" not in text else ""
    return f"{key}: {text}{came}" if key else f"{text}{came}"


def _keys(table: str) -> tuple[str, ...]:
    kind: type[_Table] = get_type_hints(Recipe)[table] if table else Recipe
    tag = kind.__struct_config__.tag_field
    return (*([tag] if tag else []), *kind.__struct_fields__)
