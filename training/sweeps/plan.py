"""Which trainings a sweep has: recipes, seeds, and every combination of settings."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from training.errors import WrongUse
from training.options import Count
from training.recipe import Recipe, read_recipe, recipe_names
from training.sweeps.ranges import Range, Search, ranges_in


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be trained, as a file says it or the command line.

    Attributes:
        recipes: names as a shell has them, or paths of recipes.
        seeds: how many trainings each has, from the recipe's own seed on.
        set: settings of all, by key.
        grid: values of a setting, by key; every combination is trained.
        search: settings that are searched for, with every combination.
    """

    recipes: tuple[str, ...]
    seeds: Count = 1
    set: dict[str, Any] = {}
    grid: dict[str, tuple[Any, ...]] = {}
    search: Search | None = None


class Planned(msgspec.Struct, frozen=True):
    """One training.

    Attributes:
        source: the recipe's name or path.
        overrides: what is changed of it, `KEY=VALUE`.
        varied: the settings of the grid or of a search that it has, in words; empty where there are none.
        recipe: what comes of both.
    """

    source: str
    overrides: tuple[str, ...]
    varied: str
    recipe: Recipe

    def folder(self, runs: Path) -> Path:
        """Where its run is: the same as if it were trained alone."""
        return runs / f"{self.recipe.name}-{self.recipe.digest}"


class Base(msgspec.Struct, frozen=True):
    """A recipe with a combination of the grid, which has a training for each seed, or for each trial of a search.

    Attributes:
        source: the recipe's name or path.
        fixed: settings of all, by key.
        chosen: those of the grid.
    """

    source: str
    fixed: dict[str, Any]
    chosen: dict[str, Any]

    def planned(self, later: int = 0) -> Planned:
        """Give the training whose seed is so much later than the recipe's."""
        return self._planned(self.chosen, " ".join(_words(self.chosen)), later)

    def tried(self, number: int, settings: Mapping[str, Any]) -> Planned:
        """Give the training of a trial."""
        short = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in settings.items()}
        words = " ".join([f"trial {number}", *_words(self.chosen), *_words(short)])
        return self._planned({**self.chosen, **settings}, words)

    def _planned(self, settings: Mapping[str, Any], words: str, later: int = 0) -> Planned:
        overrides = tuple(f"{key}={_toml(value)}" for key, value in {**self.fixed, **settings}.items())
        seed = read_recipe(self.source, overrides).training.seed + later
        given = (*overrides, f"training.seed={seed}")
        return Planned(self.source, given, words, read_recipe(self.source, given))


def read_space(path: Path) -> Space:
    """Read a space.toml; raises WrongUse that names what is wrong."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        # A key with dots need not be quoted.
        for name in ("set", "grid"):
            if not isinstance(table := tables.get(name, {}), Mapping):
                raise WrongUse(f"space '{path}': '{name}' is {table!r}, and a table [{name}] is expected")
            tables[name] = dict(_flat(table))
        if isinstance(search := tables.get("search"), Mapping) and isinstance(search.get("settings"), Mapping):
            settings = {key: _range(key, table) for key, table in ranges_in(search["settings"])}
            tables["search"] = {**search, "settings": settings}
        return msgspec.convert(tables, Space)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUse(f"space '{path}' cannot be read: {error}") from error
    except msgspec.ValidationError as error:
        raise WrongUse(f"space '{path}': {error}") from error


def _range(key: str, table: object) -> Range:
    try:
        return msgspec.convert(table, Range)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"search.settings.{key}: {error}") from error


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def bases(space: Space) -> list[Base]:
    """Give every recipe with every combination; raises WrongUse for a name of no recipe, and an empty grid."""
    for key, values in space.grid.items():
        if not values:
            raise WrongUse(f"grid.{key} has no value to train with; give one or more")
    return [
        Base(source, space.set, dict(zip(space.grid, chosen, strict=True)))
        for source in named(space.recipes)
        for chosen in product(*space.grid.values())
    ]


def plan(space: Space) -> list[Planned]:
    """Give every training of a space without a search; raises WrongUse for a value that a key cannot have."""
    return [base.planned(later) for base in bases(space) for later in range(space.seeds)]


def _words(settings: Mapping[str, Any]) -> list[str]:
    return [f"{key.rpartition('.')[2]}={value}" for key, value in settings.items()]


def named(globs: Sequence[str]) -> list[str]:
    """Name the recipes that are meant, each once, in the order of the globs; raises WrongUse for a glob of none."""
    found: dict[str, None] = {}
    for glob in globs:
        matching = [glob] if glob.endswith(".toml") else [name for name in recipe_names() if fnmatchcase(name, glob)]
        if not matching:
            raise WrongUse(f"no recipe is named like '{glob}'; `python -m training recipes` lists them")
        found |= dict.fromkeys(matching)
    return list(found)


def _toml(value: object) -> str:
    """Write a value as TOML has it, which for these is as JSON has it."""
    return msgspec.json.encode(value).decode()
