"""A small text, a small recipe on it, and a trained run that several tests read."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from models.repository import Repository
from training.job import STAGES, Job
from training.recipe import Recipe, read_recipe
from training.run import Run

WORDS = [
    "the",
    "cell",
    "keeps",
    "what",
    "it",
    "reads",
    "and",
    "the",
    "gate",
    "lets",
    "it",
    "go",
    "when",
    "a",
    "step",
    "is",
    "done",
]
CHARACTERS = 3000
SMALL = {
    "name": "small",
    "model.hidden_size": 12,
    "model.embedding_size": 6,
    "training.updates": 60,
    "training.batch": 6,
    "training.steps": 15,
    "training.validate_every": 20,
    "training.learning_rate": 0.02,
}


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Let threads of tensors this small not wait for each other, which takes longer than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "words.txt"
    words = random.Random(0)
    path.write_text(" ".join(words.choice(WORDS) for _ in range(CHARACTERS))[:CHARACTERS])
    return path


def overrides(text: Path, **changed: object) -> list[str]:
    """Give the `--set` of a small recipe; `training__seed=1` changes `training.seed`."""
    keys = SMALL | {"data.path": text} | {key.replace("__", "."): value for key, value in changed.items()}
    return [f"{key}={value}" for key, value in keys.items()]


def small_recipe(text: Path, **changed: object) -> Recipe:
    return read_recipe("charlm", overrides(text, **changed))


@dataclass(frozen=True, slots=True)
class Finished:
    """A job done to its end, and what it said."""

    run: Run
    repository: Repository
    said: list[str]

    def job(self) -> Job:
        return Job(self.run, self.repository, say=self.said.append)


def finish(folder: Path, text: Path, last: str = STAGES[-1], **changed: object) -> Finished:
    recipe = small_recipe(text, **changed)
    finished = Finished(Run.begin(folder / "runs" / recipe.name, recipe), Repository(folder / "models"), [])
    finished.job().through(last)
    return finished


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, text_file: Path) -> Finished:
    """A run through publish, for tests that only read it."""
    return finish(tmp_path_factory.mktemp("finished"), text_file)
