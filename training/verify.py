"""Holds the exported graph against the trained model, in ONNX Runtime as the server will run it."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.manifest import Manifest
from models.runner import Array, Arrays, Runner
from training.errors import VerificationFailed
from training.model import SequenceModel

TOLERANCE = 1e-5
TRIALS = 12
MOST_ROWS, MOST_STEPS = 64, 40


@dataclass(frozen=True, slots=True)
class Trial:
    """A ragged batch: symbols `[batch, time]`, lengths `[batch]`, states `[batch, …]` by the graph's names."""

    x: NDArray[np.int64]
    lengths: NDArray[np.int64]
    states: Arrays


@dataclass(frozen=True, slots=True)
class Verification:
    """What was measured.

    Attributes:
        parity_error: the largest difference from torch.
        tolerance: what the server will hold the golden answers to.
        batch_invariant: whether rows answer with the same bits alone, in any batch, and in any chunks.
        fed: a trial's inputs, by name, for the golden file.
        answered: torch's answers to it, by name.
    """

    parity_error: float
    tolerance: float
    batch_invariant: bool
    fed: Arrays
    answered: Arrays


def verify(model: SequenceModel, manifest: Manifest, graph: bytes, *, seed: int) -> Verification:
    """Replay random ragged batches against torch, any chunks against whole, rows alone against rows in a batch.

    Raises:
        VerificationFailed: the graph is further from torch than float32 explains, or chunks do not add up.
    """
    model.eval()
    runner = Runner(manifest, graph)
    random = np.random.default_rng(seed)
    trials = [_trial(model, random) for _ in range(TRIALS)]
    tolerance = max(TOLERANCE, 10 * max(_float32_error(model, trial) for trial in trials))
    parity = max(_difference(_run(runner, trial), answers(model, trial)) for trial in trials)
    if not parity <= tolerance:
        raise VerificationFailed(
            f"the graph differs from torch by {parity:.2g}, more than the tolerance {tolerance:.2g}"
        )
    errors = [error for trial in trials for error in _regroupings(runner, trial, random)]
    if not max(errors) <= tolerance:
        raise VerificationFailed(
            f"rows alone or in chunks differ from whole batches by {max(errors):.2g}, "
            f"more than the tolerance {tolerance:.2g}"
        )
    golden = trials[0]
    fed = {"x": golden.x, "lengths": golden.lengths, **golden.states}
    return Verification(parity, tolerance, max(errors) == 0.0, fed, answers(model, golden))


@torch.no_grad()
def answers(model: SequenceModel, trial: Trial) -> Arrays:
    """Give torch's answers by the graph's output names."""
    state = {name.removeprefix("state."): torch.from_numpy(array) for name, array in trial.states.items()}
    y, next_state = model(torch.from_numpy(trial.x), state, torch.from_numpy(trial.lengths))
    return {"y": y.numpy()} | {f"next_state.{name}": tensor.numpy() for name, tensor in next_state.items()}


def _trial(model: SequenceModel, random: np.random.Generator) -> Trial:
    rows, time = int(random.integers(1, MOST_ROWS + 1)), int(random.integers(1, MOST_STEPS + 1))
    states: Arrays = {
        f"state.{name}": random.normal(size=(rows, *tensor.shape[1:])).astype(np.float32)
        for name, tensor in model.cell.init_state(1).items()
    }
    lengths = random.integers(1, time + 1, rows)
    lengths[random.integers(rows)] = time
    return Trial(random.integers(0, model.symbols, (rows, time)), lengths, states)


def _run(runner: Runner, trial: Trial) -> Arrays:
    outputs, next_states = runner.run({"x": trial.x}, trial.lengths, trial.states)
    return outputs | {f"next_{name}": array for name, array in next_states.items()}


def _float32_error(model: SequenceModel, trial: Trial) -> float:
    """How far torch's own float32 answers are from its float64 ones."""
    double = copy.deepcopy(model).double()
    exact = Trial(trial.x, trial.lengths, {name: state.astype(np.float64) for name, state in trial.states.items()})
    return _difference(answers(model, trial), answers(double, exact))


def _regroupings(runner: Runner, trial: Trial, random: np.random.Generator) -> Iterator[float]:
    """Differences of a batch from some of its rows alone, from a part of the batch, and from two chunks."""
    whole = _run(runner, trial)
    rows = len(trial.lengths)
    alone = [[int(random.integers(rows))], sorted(random.choice(rows, random.integers(1, rows + 1), replace=False))]
    for chosen in alone:
        # Cut to the rows' own length too: padding must not matter either.
        time = int(trial.lengths[chosen].max())
        part = Trial(trial.x[chosen, :time], trial.lengths[chosen], _rows(trial.states, chosen))
        yield _difference(_run(runner, part), _rows(whole, chosen, time))
    yield _difference(_in_chunks(runner, trial, random), whole)


def _in_chunks(runner: Runner, trial: Trial, random: np.random.Generator) -> Arrays:
    """Run a batch in two chunks; rows that end in the first are left out of the second."""
    rows, time = trial.x.shape
    if time == 1:
        return _run(runner, trial)
    cut = int(random.integers(1, time))
    first = _run(runner, Trial(trial.x[:, :cut], np.minimum(trial.lengths, cut), trial.states))
    longer = np.flatnonzero(trial.lengths > cut)
    states = {name: first[f"next_{name}"] for name in trial.states}
    rest = Trial(trial.x[longer, cut:], trial.lengths[longer] - cut, _rows(states, longer))
    second = _run(runner, rest)
    joined = {name: array.copy() for name, array in first.items()}
    joined["y"] = np.zeros((rows, time, *first["y"].shape[2:]), first["y"].dtype)
    joined["y"][:, :cut] = first["y"]
    joined["y"][longer, cut:] = second["y"]
    for name in trial.states:
        joined[f"next_{name}"][longer] = second[f"next_{name}"]
    return joined


def _rows(arrays: Arrays, chosen: list[int] | Array, time: int | None = None) -> Arrays:
    """Some rows of each array, and of outputs over time the first steps."""
    return {name: array[chosen, :time] if name == "y" and time else array[chosen] for name, array in arrays.items()}


def _difference(found: Arrays, expected: Arrays) -> float:
    """The largest absolute difference over all arrays."""
    pairs = [(found[name].astype(np.float64), array.astype(np.float64)) for name, array in expected.items()]
    return max(float(np.abs(one - other).max()) for one, other in pairs)
