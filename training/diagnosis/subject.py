"""Whose long-term dependencies are diagnosed: a run that was trained, or a recipe, trained first or as it begins."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import msgspec

from models.errors import ManifestInvalid
from models.manifest import FILE as MANIFEST
from models.manifest import Manifest
from models.repository import DEFAULT, Repository
from training.building import fresh_model
from training.data.opening import open_data
from training.diagnosis.measure import Diagnosis, Extent, Say, diagnose
from training.diagnosis.picture import draw_diagnosis
from training.errors import WrongUse
from training.job import Job, trained_model
from training.recipe import read_recipe
from training.run import Run

RESULT, PICTURE = "diagnosis.json", "diagnosis.png"


@final
class Subject:
    """A run folder, whose recipe may be trained or not yet.

    Args:
        run: the folder.
        say: hears what is done.
    """

    def __init__(self, run: Run, say: Say) -> None:
        self.run = run
        self._say = say

    def train(self) -> None:
        """Train unless that is done."""
        if not self.run.done("train"):
            # Training publishes nothing.
            Job(self.run, Repository(DEFAULT), say=self._say).through("train")

    def diagnose(self, extent: Extent, *, trained: bool) -> Diagnosis:
        """Measure, and leave the result and its picture in the run's folder."""
        recipe = self.run.recipe
        if trained:
            self.run.need("train")
        data = open_data(recipe.data, shortest=recipe.training.batch * (recipe.training.steps + 1))
        self.run.hold_to(data.digest)
        model = trained_model(self.run) if trained else fresh_model(recipe, data)
        found = diagnose(recipe, model, data, extent, trained=trained, say=self._say)
        self.run.write_bytes(named(RESULT, trained=trained), written(found))
        draw_diagnosis(self.run.path(named(PICTURE, trained=trained)), found)
        return found


def open_subject(given: str, overrides: Sequence[str], runs: Path, say: Say) -> tuple[Subject, bool]:
    """Find what is meant, and say whether it is a recipe, whose run is among `runs`.

    Raises:
        WrongUse: it is neither a run's folder nor a recipe.
    """
    folder = Path(given)
    if (folder / MANIFEST).exists():
        raise WrongUse(
            f"'{given}' is a published model, which has graphs and no weights to diagnose: {_made_by(folder)}"
        )
    if folder.is_dir():
        if overrides:
            raise WrongUse(f"'{given}' is a run, whose recipe is fixed: give --set with a recipe's name")
        return Subject(Run(folder), say), False
    recipe = read_recipe(given, overrides)
    return Subject(Run.begin(runs / f"{recipe.name}-{recipe.digest}", recipe), say), True


def written(found: Diagnosis) -> bytes:
    """Give a diagnosis as JSON, in which what is no finite number is null."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def named(file: str, *, trained: bool) -> str:
    """Give the name of a result's file; what is measured before training has its own."""
    return file if trained else f"initial_{file}"


def _made_by(folder: Path) -> str:
    try:
        recipe = Manifest.decode_json((folder / MANIFEST).read_bytes()).provenance.recipe
    except ManifestInvalid:
        recipe = None
    return f"give the folder of its run, or the recipe '{recipe}'" if recipe else "give the folder of its run"
