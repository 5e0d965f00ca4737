"""Models of shipped recipes after a few updates, published: what tests stream from a server and hold against torch."""

from pathlib import Path
from typing import NamedTuple

from models.repository import Repository
from training.data.data import Data
from training.data.opening import open_data
from training.job import Job, trained_model
from training.model import SequenceModel
from training.recipe import read_recipe
from training.run import Run


class Trained(NamedTuple):
    """The repository that the model is in, the model itself, and its data."""

    repository: Repository
    model: SequenceModel
    data: Data


def publish_trained(recipe: str, folder: Path, *, updates: int, changed: tuple[str, ...] = ()) -> Trained:
    """Train a recipe for a few updates and publish it."""
    few = (f"training.updates={updates}", f"training.validate_every={updates}")
    run, repository = Run.begin(folder / "run", read_recipe(recipe, (*few, *changed))), Repository(folder / "models")
    Job(run, repository, say=lambda _: None).through("publish")
    return Trained(repository, trained_model(run).eval(), open_data(run.recipe.data, shortest=1))
