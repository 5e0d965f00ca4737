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


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be trained, as a file says it or the command line.

    Attributes:
        recipes: names as a shell has them, or paths of recipes.
        seeds: how many trainings each has, from the recipe's own seed on.
        set: settings of all, by key.
        grid: values of a setting, by key; every combination is trained.
    """

    recipes: tuple[str, ...]
    seeds: Count = 1
    set: dict[str, Any] = {}
    grid: dict[str, tuple[Any, ...]] = {}


class Planned(msgspec.Struct, frozen=True):
    """One training.

    Attributes:
        source: the recipe's name or path.
        overrides: what is changed of it, `KEY=VALUE`.
        varied: the settings of the grid that it has, in words; empty where there is no grid.
        recipe: what comes of both.
    """

    source: str
    overrides: tuple[str, ...]
    varied: str
    recipe: Recipe

    def folder(self, runs: Path) -> Path:
        """Where its run is: the same as if it were trained alone."""
        return runs / f"{self.recipe.name}-{self.recipe.digest}"


def read_space(path: Path) -> Space:
    """Read a space.toml; raises WrongUse that names what is wrong."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        # A key with dots need not be quoted.
        for name in ("set", "grid"):
            if not isinstance(table := tables.get(name, {}), Mapping):
                raise WrongUse(f"space '{path}': '{name}' is {table!r}, and a table [{name}] is expected")
            tables[name] = dict(_flat(table))
        return msgspec.convert(tables, Space)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUse(f"space '{path}' cannot be read: {error}") from error
    except msgspec.ValidationError as error:
        raise WrongUse(f"space '{path}': {error}") from error


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def plan(space: Space) -> list[Planned]:
    """Give every training; raises WrongUse for a name of no recipe, a value that a key cannot have, an empty grid."""
    for key, values in space.grid.items():
        if not values:
            raise WrongUse(f"grid.{key} has no value to train with; give one or more")
    fixed = tuple(f"{key}={_toml(value)}" for key, value in space.set.items())
    return [
        planned
        for source in _sources(space.recipes)
        for chosen in product(*space.grid.values())
        for planned in _with_seeds(source, fixed, dict(zip(space.grid, chosen, strict=True)), space.seeds)
    ]


def _with_seeds(source: str, fixed: tuple[str, ...], chosen: Mapping[str, Any], seeds: int) -> Iterator[Planned]:
    overrides = (*fixed, *(f"{key}={_toml(value)}" for key, value in chosen.items()))
    varied = " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in chosen.items())
    first = read_recipe(source, overrides).training.seed
    for seed in range(first, first + seeds):
        given = (*overrides, f"training.seed={seed}")
        yield Planned(source, given, varied, read_recipe(source, given))


def _sources(globs: Sequence[str]) -> list[str]:
    """Name the recipes that are meant, each once, in the order of the globs."""
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
