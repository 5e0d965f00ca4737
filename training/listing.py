"""Architectures and recipes as people and programs read them: what there is, what it is for, and how well it does."""

import json
from collections.abc import Sequence
from functools import cache

from training.architectures import ARCHITECTURES
from training.recipe import Recipe, read_recipe, recipe_names
from training.tasks import TASKS

SECTIONS = {
    "10.2": "Recurrent neural networks",
    "10.2.1": "Teacher forcing and networks with output recurrence",
    "10.2.3": "Recurrent networks as directed graphical models",
    "10.2.4": "Modeling sequences conditioned on context",
    "10.3": "Bidirectional RNNs",
    "10.4": "Encoder-decoder sequence-to-sequence architectures",
    "10.5": "Deep recurrent networks",
    "10.6": "Recursive neural networks",
    "10.7": "The challenge of long-term dependencies",
    "10.8": "Echo state networks",
    "10.9.1": "Adding skip connections through time",
    "10.9.2": "Leaky units and a spectrum of different time scales",
    "10.9.3": "Removing connections",
    "10.10.1": "LSTM",
    "10.10.2": "Other gated RNNs",
    "10.12": "Explicit memory",
    "beyond": "After the chapter",
}


def list_architectures(*, as_json: bool) -> str:
    """Write a line for each architecture, in the chapter's order, or all of it as JSON."""
    if as_json:
        return json.dumps([_described(name, recipes_of(name)) for name in in_order()], indent=2) + "\n"
    return "".join(_line(name, recipes_of(name)) for name in in_order())


def in_order() -> list[str]:
    """Name the architectures in the chapter's order."""
    sections = list(SECTIONS)
    return sorted(ARCHITECTURES, key=lambda name: (sections.index(ARCHITECTURES[name].section), name))


@cache
def shipped() -> tuple[Recipe, ...]:
    """Read all recipes that Recur ships."""
    return tuple(map(read_recipe, recipe_names()))


def recipes_of(name: str) -> list[Recipe]:
    """Give the recipes of an architecture: those with a published figure first, then those with any."""
    recipes = [one for one in shipped() if one.architecture == name]
    return sorted(recipes, key=lambda one: (one.figure.published is None, one.figure.reached is None, one.name))


def list_recipes() -> str:
    """Write a line for each recipe: its architecture, its task, what it reached and what it is held to."""
    return "".join(map(_recipe_line, shipped()))


def _described(name: str, recipes: Sequence[Recipe]) -> dict[str, object]:
    line = ARCHITECTURES[name]
    first = recipes[0] if recipes else None
    return {
        "architecture": name,
        "section": line.section,
        "title": SECTIONS[line.section],
        "parameters": line.parameters,
        "options": line.options,
        "page": f"docs/architectures/{line.page}.md",
        "recipes": [one.name for one in recipes],
        "task": first and first.task,
        "metric": first and TASKS[first.task].metric,
        "published": first and first.figure.published,
        "citation": first and first.figure.citation,
        "reached": first and first.figure.reached,
    }


def _line(name: str, recipes: Sequence[Recipe]) -> str:
    line = ARCHITECTURES[name]
    options = " ".join(f"{key}={json.dumps(value)}" for key, value in line.options.items())
    shown = f"{recipes[0].name}: {figures(recipes[0])}" if recipes else ""
    return f"{name:<22} {line.section:<8} {SECTIONS[line.section]:<52} {shown:<75} {options}".rstrip() + "\n"


def _recipe_line(recipe: Recipe) -> str:
    return f"{recipe.name:<28} {recipe.architecture:<22} {recipe.task:<12} {figures(recipe)}\n"


def figures(recipe: Recipe) -> str:
    """Say the figure with its metric, beside what it must be and what was published."""
    figure = recipe.figure
    said = [f"{TASKS[recipe.task].metric} {'not measured' if figure.reached is None else f'{figure.reached:.4g}'}"]
    said += [f"must {figure.must:.4g}"] if figure.must is not None else []
    said += [f"published {figure.published:.4g}"] if figure.published is not None else []
    return ", ".join(said)
