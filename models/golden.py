"""Golden answers: inputs and expected outputs stored with a model and replayed wherever it is loaded."""

import io
from pathlib import Path

import numpy as np

from models.errors import GoldenMismatch, ModelDamaged
from models.runner import Runner
from models.tensors import NUMPY, Array, Arrays, DType, Shape, describe_shape

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
    stored = load_arrays("the golden file", golden)
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


def load_arrays(name: str, data: bytes) -> Arrays:
    """Read a NumPy archive; raises ModelDamaged, which calls it `name`."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # zipfile, zlib and NumPy each raise their own classes
        raise ModelDamaged(f"{name} is not a NumPy archive") from error


def _run(runner: Runner, stored: Arrays) -> Arrays:
    manifest = runner.manifest
    inputs = {tensor.name: _fed(stored, tensor.name, tensor.dtype, tensor.shape) for tensor in manifest.inputs}
    states = {state.input: _fed(stored, state.input, state.dtype, state.shape) for state in manifest.states}
    lengths = _fed(stored, manifest.lengths or "lengths", "INT64", ()).astype(np.int64)
    outputs, next_states = runner.run(inputs, lengths, states)
    return outputs | {state.output: next_states[state.input] for state in manifest.states}


def _fed(stored: Arrays, name: str, dtype: DType, shape: Shape) -> Array:
    array = stored[_IN + name]
    if array.dtype != NUMPY[dtype] or array.ndim != 1 + len(shape):
        raise ModelDamaged(f"the golden file's '{_IN}{name}' is not {dtype} {describe_shape(shape)}")
    return array


def _difference(answer: Array, expected: Array) -> float:
    """The largest absolute difference; infinite where shapes, kinds of number or non-finite places differ."""
    if answer.shape != expected.shape or answer.dtype.kind != expected.dtype.kind:
        return float("inf")
    found, wanted = answer.astype(np.float64), expected.astype(np.float64)
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    difference = np.abs(np.subtract(found, wanted, where=~same, out=np.zeros_like(found)))
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0))
