"""A recipe: what to train, on what, how; a TOML file whose every key is known and checked."""

import hashlib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from models.manifest import check_name
from training.architectures import ARCHITECTURES, check_cell
from training.data.forms import check_set
from training.data.own.settings import TableData, WavData
from training.data.settings import SetData, TextData
from training.errors import WrongUse
from training.facts import FactsLoss
from training.options import Count, NotNegative, Positive, Share
from training.tasks import TASKS

RECIPES = Path(__file__).parent / "recipes"

_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


Decay = Literal["linear", "cosine", "constant", "plateau"]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a recipe, closed to keys it does not know."""


class ModelSettings(_Table, frozen=True):
    """Sizes of the model.

    Attributes:
        embedding_size: of symbols; of numbers it is a dense layer's, and 0 for none.
        hidden_size: units of the cell.
        dropout: share of the cell's outputs that are dropped in training.
        normalise: take mean and deviation of the training data off numbers, inside the graph: clients send raw units.
        readout: without it the cell's outputs are the answers.
    """

    hidden_size: Count
    embedding_size: NotNegative = 0
    dropout: Share = 0.0
    normalise: bool = False
    readout: bool = True


class TrainingSettings(_Table, frozen=True):
    """How the model is trained.

    Attributes:
        solver: by gradients, or in closed form (ridge), which fits the readout of a reservoir that is not trained.
        updates: the budget.
        batch: rows of an update: sequences, or stretches of one long series.
        steps: time steps that gradients go back through, with the state of one long series carried from update to
            update; 0: whole sequences, those of about one length together.
        learning_rate: at first; `schedule` says how it falls.
        clip: the largest norm of the gradient.
        clip_value: the largest entry of the gradient; none unless given.
        schedule: linear or cosine to zero over the budget, constant, or halved after `halve_after` validations without
            a gain (plateau).
        optimizer: adam, or sgd with `momentum`.
        accumulate: parts that a batch is learnt in, one after the other, to need less memory.
        omega: weight of the regulariser that keeps the gradient's norm over time; plain tanh and ReLU networks have it.
        facts: weight of how little a memory network's hops read of the facts that the data names, hop k of the k-th.
        facts_loss: how that is measured, of the softmax of the scores of all sentences or by the margin of the fact's.
        forcing: of a cell that reads its own output, the probability that it reads the truth instead; it falls to
            `forcing_end` over the budget.
        precision: of the arithmetic; weights stay FP32.
        penalty: of the closed form, what the squares of the readout's weights cost.
        washout: of the closed form, steps at the beginning of a series that are read, and neither fitted to nor scored.
        validate_every: updates between validations, each of which writes a checkpoint.
        patience: validations without a gain after which training stops early.
    """

    solver: Literal["gradients", "ridge"] = "gradients"
    updates: Count = 1000
    batch: Count = 32
    steps: NotNegative = 0
    learning_rate: Positive = 1e-3
    clip: Positive = 1.0
    clip_value: Positive | None = None
    schedule: Decay = "linear"
    halve_after: Count = 4
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: Share = 0.0
    accumulate: Count = 1
    omega: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    facts: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    facts_loss: FactsLoss = "softmax"
    forcing: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    forcing_end: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    penalty: Positive = 1e-6
    washout: NotNegative = 100
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    validate_every: Count = 100
    patience: Count = 10
    seed: int = 0


class FigureSettings(_Table, frozen=True):
    """What the recipe is held to, in its task's metric, on the test part.

    Attributes:
        must: what it is to reach.
        reached: what it did reach when it was last trained in full.
        published: the published figure.
        citation: where it stands, and how it differs.
    """

    must: float | None = None
    reached: float | None = None
    published: float | None = None
    citation: str = ""


class ExportSettings(_Table, frozen=True):
    """What is made of the trained model; `int8` publishes a quantized variant beside it."""

    int8: bool = False


class Recipe(_Table, frozen=True):
    """The whole recipe.

    Attributes:
        name: what the model is published under; `int8_name` is what its int8 variant is.
        task: what is asked of the model.
        cell: the architecture's own options.
        figure: what is told beside the model's own figure; it changes nothing of the training.
    """

    name: str
    architecture: str
    data: TextData | SetData | TableData | WavData
    model: ModelSettings
    training: TrainingSettings
    task: str = "next_symbol"
    cell: dict[str, Any] = {}
    export: ExportSettings = ExportSettings()
    figure: FigureSettings = FigureSettings()

    def __post_init__(self) -> None:
        """Check what no type says: the names become folders', and the architecture is one of the table."""
        check_name(self.name)
        if self.export.int8:
            check_name(self.int8_name)
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture '{self.architecture}' is not one of {', '.join(sorted(ARCHITECTURES))}")
        if self.task not in TASKS:
            raise ValueError(f"task '{self.task}' is not one of {', '.join(sorted(TASKS))}")
        check_cell(self.architecture, self.cell)
        if isinstance(self.data, SetData):
            check_set(self.data)

    @property
    def unscored(self) -> int:
        """How many steps at the beginning of a series are read and not scored."""
        return self.training.washout if self.training.solver == "ridge" else 0

    @property
    def digest(self) -> str:
        """Eight digits that tell these settings from others; what is made of the trained model is none of them."""
        settings = msgspec.structs.replace(self, export=ExportSettings(), figure=FigureSettings())
        return hashlib.sha256(msgspec.json.encode(_told(settings), order="deterministic")).hexdigest()[:8]

    @property
    def int8_name(self) -> str:
        """What the int8 variant is published under."""
        return f"{self.name}-int8"


def _told(table: msgspec.Struct) -> dict[str, object]:
    """Give what a table says other than by default: a new key leaves the digests of recipes without it as they are."""
    told: dict[str, object] = {"kind": table.__struct_config__.tag}
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        if isinstance(value, msgspec.Struct):
            told[field.name] = _told(value)
        elif value not in (field.default, {}, ()):
            told[field.name] = value
    return told


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
    for table in ("cell", "export", "figure"):
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
    table[last] = value_of(text)


def value_of(text: str) -> object:
    """Read a value as TOML has it; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _as_sentence(error: msgspec.ValidationError, tables: dict[str, Any]) -> str:
    """Name the key first, then what was expected and what came: `training.batch: Expected `int` >= 1, got 0`."""
    text = str(error)
    place = _PLACE.search(text)
    key = place[1] if place else ""
    text = text[: place.start()] if place else text
    if unknown := _UNKNOWN.search(text):
        text = f"there is no key '{unknown[1]}'; there is {', '.join(_keys(key, tables))}"
    value: object = tables
    for part in filter(None, key.split(".")):
        value = value.get(part, {}) if isinstance(value, dict) else value
    came = f", got {value!r}" if text.startswith("Expected") and "got" not in text else ""
    return f"{key}: {text}{came}" if key else f"{text}{came}"


def _keys(table: str, tables: dict[str, Any]) -> tuple[str, ...]:
    """The keys of a table; of one that has kinds, those of the kind that it says."""
    kind: Any = get_type_hints(Recipe)[table] if table else Recipe
    if kinds := get_args(kind):
        kind = next(one for one in kinds if one.__struct_config__.tag == tables[table]["kind"])
    tag = kind.__struct_config__.tag_field
    return (*([tag] if tag else []), *kind.__struct_fields__)
