"""The record of what recipes reached: each training with another seed, its figure, its time, and the model's digest."""

import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import final

import msgspec
import numpy as np
import torch

from training.errors import RunInvalid
from training.recipe import Recipe
from training.run import RESULT, WEIGHTS, Run
from training.tasks import TASKS

RECORD = Path(__file__).parent.parent / "docs" / "reproduction.json"


class Trained(msgspec.Struct, frozen=True):
    """One training.

    Attributes:
        figure: in the task's metric, on the test part.
        seconds: of its updates.
        weights: digest of all that was learnt.
        machine: the processor.
    """

    figure: float
    seconds: float
    weights: str
    machine: str


class Reached(msgspec.Struct, frozen=True):
    """What a recipe reached, by seed; `settings` tells these settings from others, whatever the seed."""

    settings: str
    seeds: Mapping[str, Trained]

    @property
    def figures(self) -> list[float]:
        """What each seed reached, from the lowest."""
        return sorted(one.figure for one in self.seeds.values())

    @property
    def median(self) -> float:
        """The median of them."""
        return median(self.figures)

    @property
    def seconds(self) -> float:
        """The median of the times."""
        return median(one.seconds for one in self.seeds.values())


@final
class Record:
    """A file of JSON, written anew with every training, so that one that is stopped keeps what was done."""

    def __init__(self, path: Path = RECORD) -> None:
        self.path = path
        try:
            self._known = msgspec.json.decode(path.read_bytes(), type=dict[str, Reached])
        except FileNotFoundError:
            self._known = {}
        except (OSError, msgspec.MsgspecError) as error:
            raise RunInvalid(f"'{path}' is no record of figures: {error}") from error

    def of(self, recipe: Recipe) -> Reached | None:
        """Give what a recipe reached with the settings that it has now; None where nobody has trained it so."""
        known = self._known.get(recipe.name)
        return known if known is not None and known.settings == settings_of(recipe) else None

    def add(self, recipe: Recipe, trained: Trained) -> Reached:
        """Note a training, in place of an earlier one with its seed; those with other settings are forgotten."""
        known = self.of(recipe)
        seeds = {**(known.seeds if known else {}), str(recipe.training.seed): trained}
        found = self._known[recipe.name] = Reached(settings_of(recipe), dict(sorted(seeds.items())))
        ordered = dict(sorted(self._known.items()))
        partial = self.path.with_name(f"{self.path.name}.partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
        partial.replace(self.path)
        return found


def settings_of(recipe: Recipe) -> str:
    """Digest a recipe's settings but for its seed."""
    return with_seed(recipe, 0).digest


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """Give a recipe with another seed."""
    return msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, seed=seed))


def read_trained(run: Run) -> Trained:
    """Read what a run that was trained reached."""
    result = run.read(RESULT, "train")
    weights = torch.load(run.path(WEIGHTS), map_location="cpu", weights_only=True)
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return Trained(result["held_out"], round(result["seconds"], 1), f"sha256:{digest.hexdigest()}", machine())


def is_reached(recipe: Recipe, figure: float) -> bool | None:
    """Whether a figure is as good as the recipe is held to; None where it is held to nothing."""
    must = recipe.figure.must
    if must is None:
        return None
    return figure >= must if TASKS[recipe.task].better == "higher" else figure <= must


def machine() -> str:
    """Name the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
