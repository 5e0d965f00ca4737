"""From a folder of the repository to a runner that has given its golden answers."""

from dataclasses import dataclass

import numpy as np

from models.device import CPU
from models.errors import ModelDamaged
from models.golden import load_arrays, replay_golden
from models.manifest import GOLDEN, INITIAL, Manifest
from models.repository import ModelVersion, OpenModel, Repository
from models.runner import Runner
from models.tensors import NUMPY, Arrays, fits, fixed_shape


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model that answered as it should: its runner, its states' initial rows, its texts."""

    manifest: Manifest
    runner: Runner
    initial: Arrays
    golden_error: float
    vocabulary: str | None
    labels: str | None
    size: int


def load_checked(repository: Repository, place: ModelVersion, *, threads: int = 1, device: str = CPU) -> CheckedModel:
    """Open a version, load its graphs, replay their golden answers.

    Raises:
        ModelError: the reason why this version must not serve.
    """
    opened = repository.open(place)
    manifest = opened.manifest
    runner = _runner(opened, threads, device)
    return CheckedModel(
        manifest=manifest,
        runner=runner,
        initial=_initial_states(opened),
        golden_error=replay_golden(runner, opened.files[GOLDEN]),
        vocabulary=_text(opened, manifest.vocabulary),
        labels=_text(opened, manifest.labels),
        size=opened.size,
    )


def _runner(opened: OpenModel, threads: int, device: str) -> Runner:
    manifest = opened.manifest
    start, step, peek = (
        None if file is None else opened.files[file]
        for file in (manifest.graphs.start, manifest.graphs.step, manifest.graphs.peek)
    )
    main = opened.files[manifest.graphs.main]
    return Runner(manifest, main, start=start, step=step, peek=peek, threads=threads, device=device)


def _initial_states(opened: OpenModel) -> Arrays:
    """One initial row of each state, by the graph's input names, without the batch axis."""
    stored = load_arrays(INITIAL, opened.files[INITIAL]) if INITIAL in opened.files else {}
    rows: Arrays = {}
    for state in opened.manifest.states:
        dtype, shape = NUMPY[state.dtype], fixed_shape(state.shape)
        row = np.zeros(shape, dtype) if state.initial_key is None else stored.get(state.initial_key)
        if row is None or row.dtype != dtype or not fits(row.shape, state.shape):
            raise ModelDamaged(f"{INITIAL} has no {state.dtype} {list(state.shape)} under '{state.initial_key}'")
        rows[state.input] = row
    return rows


def _text(opened: OpenModel, name: str | None) -> str | None:
    try:
        return None if name is None else opened.files[name].decode()
    except UnicodeDecodeError as error:
        raise ModelDamaged(f"{name} is not UTF-8 text") from error
