"""Golden answers: inputs and expected outputs stored with a model and replayed wherever it is loaded."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import GoldenMismatch, ModelDamaged
from models.manifest import Manifest, TensorSpec
from models.rows import size_of, steps_of
from models.runner import Runner
from models.tensors import NUMPY, Array, Arrays, DType, Shape, describe_shape

_IN, _OUT = "in.", "out."

Answered = tuple[Arrays, Arrays]


def write_golden(
    path: Path, fed: Arrays, answered: Arrays, *, start: Answered | None = None, peek: Answered | None = None
) -> None:
    """Store what was fed (inputs, lengths, states) and what the model answered (outputs, next states).

    Args:
        path: where to write.
        fed: by name, for the main graph.
        answered: by name, by the main graph.
        start: what the start graph was fed and made.
        peek: what the peek graph was fed, lengths and states too, and answered.
    """
    named: Arrays = {}
    for prefix, pair in (("", (fed, answered)), ("start.", start), ("peek.", peek)):
        if pair is not None:
            named |= {f"{prefix}{_IN}{name}": array for name, array in pair[0].items()}
            named |= {f"{prefix}{_OUT}{name}": array for name, array in pair[1].items()}
    np.savez(path, **named)  # type: ignore[arg-type]  # savez types its keywords as its own flag


def replay_golden(runner: Runner, golden: bytes) -> float:
    """Run the golden inputs through every graph and return the largest difference.

    Raises:
        ModelDamaged: the golden file cannot be read or lacks a tensor.
        GoldenMismatch: an answer differs by more than the manifest's tolerance, or the step graph's from the main's.
    """
    stored = load_arrays("the golden file", golden)
    try:
        errors = _errors("output", _run(runner, stored), stored, _OUT)
        if runner.start_inputs:
            errors |= _errors("the start graph's", _start(runner, stored), stored, f"start.{_OUT}")
        if runner.peek_outputs:
            errors |= _errors("the peek graph's", _peek(runner, stored), stored, f"peek.{_OUT}")
        if runner.has_step:
            _check_step(runner, stored)
    except KeyError as error:
        raise ModelDamaged(f"the golden file lacks {error}") from error
    worst = max(errors, key=errors.__getitem__)
    if not errors[worst] <= runner.manifest.tolerance:
        raise GoldenMismatch(
            f"{worst} differs from its golden answer by {errors[worst]:.2g}, "
            f"more than the tolerance {runner.manifest.tolerance:.2g}"
        )
    return errors[worst]


def _errors(whose: str, answers: Arrays, stored: Arrays, prefix: str) -> dict[str, float]:
    return {f"{whose} '{name}'": _difference(answer, stored[prefix + name]) for name, answer in answers.items()}


def load_arrays(name: str, data: bytes) -> Arrays:
    """Read a NumPy archive; raises ModelDamaged, which calls it `name`."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return dict(archive)
    except Exception as error:  # zipfile, zlib and NumPy each raise their own classes
        raise ModelDamaged(f"{name} is not a NumPy archive") from error


def _run(runner: Runner, stored: Arrays) -> Arrays:
    inputs, lengths, states = _rows(runner.manifest, stored)
    outputs, next_states = runner.run(inputs, lengths, states, step=False)
    return outputs | {state.output: next_states[state.input] for state in runner.manifest.states}


def _start(runner: Runner, stored: Arrays) -> Arrays:
    return runner.start(_inputs(runner.start_inputs, stored, f"start.{_IN}"))


def _peek(runner: Runner, stored: Arrays) -> Arrays:
    prefix = f"peek.{_IN}"
    inputs = _inputs(runner.peek_inputs, stored, prefix)
    return runner.peek(inputs, *_lengths_and_states(runner.manifest, stored, prefix))


def _check_step(runner: Runner, stored: Arrays) -> None:
    """Raise GoldenMismatch unless the step graph gives the main graph's bits for every golden step."""
    manifest = runner.manifest
    inputs, lengths, states = _rows(manifest, stored)
    for t in range(size_of(manifest.inputs, inputs)[1]):
        going = lengths > t
        one = {name: array[going] for name, array in steps_of(manifest.inputs, inputs, t, t + 1).items()}
        before = {name: array[going] for name, array in states.items()}
        ones = np.ones(int(going.sum()), np.int64)
        outputs, next_states = runner.run(one, ones, before, step=False)
        found, next_found = runner.run(one, ones, before)
        for name, array in {**outputs, **next_states}.items():
            if array.tobytes() != {**found, **next_found}[name].tobytes():
                raise GoldenMismatch(
                    f"the step graph's '{name}' is not bit for bit the main graph's at golden step {t}: "
                    "within a sequence the two would be mixed; publish the model without its step graph"
                )
        states = next_states
        lengths = lengths[going]
        inputs = {name: array[going] for name, array in inputs.items()}


def _rows(manifest: Manifest, stored: Arrays) -> tuple[Arrays, NDArray[np.int64], Arrays]:
    return _inputs(manifest.inputs, stored, _IN), *_lengths_and_states(manifest, stored, _IN)


def _inputs(specs: Sequence[TensorSpec], stored: Arrays, prefix: str) -> Arrays:
    return {spec.name: _fed(stored, prefix + spec.name, spec.dtype, spec.shape) for spec in specs}


def _lengths_and_states(manifest: Manifest, stored: Arrays, prefix: str) -> tuple[NDArray[np.int64], Arrays]:
    lengths = _fed(stored, prefix + (manifest.lengths or "lengths"), "INT64", ()).astype(np.int64)
    states = {state.input: _fed(stored, prefix + state.input, state.dtype, state.shape) for state in manifest.states}
    return lengths, states


def _fed(stored: Arrays, name: str, dtype: DType, shape: Shape) -> Array:
    array = stored[name]
    if array.dtype != NUMPY[dtype] or array.ndim != 1 + len(shape):
        raise ModelDamaged(f"the golden file's '{name}' is not {dtype} {describe_shape(shape)}")
    return array


def _difference(answer: Array, expected: Array) -> float:
    """The largest absolute difference; infinite where shapes, kinds of number or non-finite places differ."""
    if answer.shape != expected.shape or answer.dtype.kind != expected.dtype.kind:
        return float("inf")
    found, wanted = answer.astype(np.float64), expected.astype(np.float64)
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    difference = np.abs(np.subtract(found, wanted, where=~same, out=np.zeros_like(found)))
    return float(np.where(np.isnan(difference), np.inf, difference).max(initial=0.0))
