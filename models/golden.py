"""Golden answers: inputs and expected outputs stored with a model and replayed wherever it is loaded."""

import io
from pathlib import Path

import numpy as np

from models.errors import GoldenMismatch, ModelDamaged
from models.manifest import Manifest
from models.runner import Arrays, Runner

_IN, _OUT = "in.", "out."


def write_golden(path: Path, fed: Arrays, answered: Arrays) -> None:
    """Store what was fed (inputs, lengths, states) and what the model answered (outputs, next states)."""
    named = {_IN + name: array for name, array in fed.items()} | {
        _OUT + name: array for name, array in answered.items()
    }
    np.savez(path, **named)  # type: ignore[arg-type]  # savez types its keywords as its own flag


def replay_golden(runner: Runner, golden: bytes) -> float:
    """Run the golden inputs and return the largest difference.

    Raises:
        ModelDamaged: the golden file cannot be read or lacks a tensor.
        GoldenMismatch: an answer differs by more than the manifest's tolerance.
    """
    manifest = runner.manifest
    stored = _load(golden)
    try:
        answers = _run(runner, stored)
        errors = {name: _difference(answer, stored[_OUT + name]) for name, answer in answers.items()}
    except KeyError as error:
        raise ModelDamaged(f"the golden file lacks {error}") from error
    worst = max(errors, key=errors.__getitem__)
    if not errors[worst] <= manifest.tolerance:
        raise GoldenMismatch(
            f"output '{worst}' differs from its golden answer by {errors[worst]:.2g}, "
            f"more than the tolerance {manifest.tolerance:.2g}"
        )
    return errors[worst]


def _run(runner: Runner, stored: Arrays) -> Arrays:
    manifest: Manifest = runner.manifest
    inputs = {tensor.name: stored[_IN + tensor.name] for tensor in manifest.inputs}
    states = {state.input: stored[_IN + state.input] for state in manifest.states}
    lengths = stored[_IN + (manifest.lengths or "lengths")].astype(np.int64)
    outputs, next_states = runner.run(inputs, lengths, states)
    return outputs | {state.output: next_states[state.input] for state in manifest.states}


def _difference(answer: np.ndarray, expected: np.ndarray) -> float:
    """The largest absolute difference; infinite where shapes or non-finite places differ."""
    if answer.shape != expected.shape:
        return float("inf")
    difference = np.abs(answer.astype(np.float64) - expected.astype(np.float64))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))


def _load(golden: bytes) -> Arrays:
    try:
        with np.load(io.BytesIO(golden), allow_pickle=False) as archive:
            return dict(archive)
    except (ValueError, OSError) as error:
        raise ModelDamaged("the golden file is not a NumPy archive") from error
