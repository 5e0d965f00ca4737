"""All that is measured of a model's long-term dependencies, in the order in which it is told."""

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
import numpy as np

from training.data.data import Data
from training.diagnosis.capacity import Capacity, capacity
from training.diagnosis.echo import Echo, echo
from training.diagnosis.flow import Flow, flow
from training.diagnosis.gates import Saturation, gates
from training.diagnosis.gradient import Gradient, gradient
from training.diagnosis.spectrum import Spectrum, spectrum
from training.diagnosis.walk import draw_walk
from training.errors import Diverged
from training.model import SequenceModel
from training.recipe import Recipe
from training.tasks import open_task

Found = TypeVar("Found")
Say = Callable[[str], object]


class Extent(msgspec.Struct, frozen=True):
    """How much is looked at: so many sequences, none longer than so many steps, drawn by a seed."""

    sequences: int = 32
    steps: int = 100
    seed: int = 0


class Diagnosis(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        recipe: the model's.
        trained: whether it was, or is as training begins with it.
        extent: what was asked to be looked at.
        sequences: how many there were.
        reach: how far half of them or more go back.
        state: the numbers that the Jacobian is of.
        capacity: None where random inputs drive the state to no number.
    """

    recipe: str
    architecture: str
    trained: bool
    extent: Extent
    sequences: int
    reach: int
    state: int
    spectrum: Spectrum
    flow: Flow
    gradient: Gradient
    gates: dict[str, Saturation]
    echo: Echo
    capacity: Capacity | None


def diagnose(recipe: Recipe, model: SequenceModel, data: Data, extent: Extent, *, trained: bool, say: Say) -> Diagnosis:
    """Measure a model along the validation part, in float64; the model stays so.

    Raises:
        WrongUse: it has no state that goes from step to step by numbers, or the data no sequence to go along.
        Diverged: its state is no number along real sequences.
    """
    model.double().eval().requires_grad_(requires_grad=False)
    delayed = data.delayed(model.cell.delay)
    task = open_task(recipe.task, model, delayed)
    random = np.random.default_rng(extent.seed)
    walk = draw_walk(model, delayed.parts.validation, sequences=extent.sequences, steps=extent.steps, seed=extent.seed)
    if not walk.is_finite():
        raise Diverged(f"the state of '{recipe.name}' is no number any more along the validation part")

    def timed(what: str, measure: Callable[[], Found]) -> Found:
        began = time.monotonic()
        say(f"diagnose: {what} …")
        found = measure()
        say(f" {time.monotonic() - began:.1f} s\n")
        return found

    return Diagnosis(
        recipe.name,
        recipe.architecture,
        trained,
        extent,
        walk.rows,
        walk.reach,
        walk.flat.size,
        timed("eigenvalues of the Jacobian", lambda: spectrum(walk, random)),
        timed("norms of its products", lambda: flow(walk, random)),
        timed("the gradient through time", lambda: gradient(walk, task)),
        timed("gates", lambda: gates(walk)),
        timed("the echo-state test", lambda: echo(walk, random)),
        timed("memory capacity", lambda: capacity(walk, random)),
    )
