"""Holds the exported graph against the trained model, in ONNX Runtime as the server will run it."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.manifest import Manifest
from models.runner import Array, Arrays, Runner
from training.cell import Cell, Source, Sourced, some_lengths
from training.errors import VerificationFailed
from training.export.lint import varying_operators
from training.export.start import CONTEXT, SOURCE
from training.model import Numbers, SequenceModel

TOLERANCE = 1e-5
# A tolerance above this would let a wrong graph through.
LARGEST_TOLERANCE = 1e-2
TRIALS = 12
MOST_ROWS, MOST_STEPS = 64, 40
MOST_COUNTED = 1000
MOST_SOURCE = 30
MOST_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Trial:
    """A ragged batch: inputs `[batch, time, …]`, lengths `[batch]`, states `[batch, …]` by the graph's names."""

    x: Array
    lengths: NDArray[np.int64]
    states: Arrays


@dataclass(frozen=True, slots=True)
class Verification:
    """What was measured.

    Attributes:
        parity_error: the largest difference from torch.
        tolerance: what the server will hold the golden answers to.
        step_exact: whether the step graph, where there is one, gives the main graph's bits.
        batch_invariant: whether rows answer with the same bits alone, in any batch, and in any chunks.
        fed: a trial's inputs, by name, for the golden file.
        answered: what torch answers to it, by name; of a quantized graph, what it answers itself.
    """

    parity_error: float
    tolerance: float
    step_exact: bool
    batch_invariant: bool
    fed: Arrays
    answered: Arrays


def verify(
    model: SequenceModel, manifest: Manifest, graph: bytes, *, step: bytes | None = None, seed: int
) -> Verification:
    """Replay random ragged batches against torch, any chunks against whole, rows alone against rows in a batch.

    A step graph takes part where it gives the main graph's bits; if not it is left out, as it must be at publication.

    Raises:
        VerificationFailed: the graph is further from torch than float32 explains, or chunks do not add up, or
            float32 is too coarse for the model's own numbers.
    """
    model.eval()
    runner = Runner(manifest, graph, step=step)
    random = np.random.default_rng(seed)
    trials = [_followed(model, trial) for trial in _trials(model, random)]
    step_exact = all(_step_is_exact(runner, trial) for trial in trials)
    if not step_exact:
        runner = Runner(manifest, graph)
    own_error = _largest(_float32_error(model, trial) for trial in trials)
    if not 10 * own_error <= LARGEST_TOLERANCE:
        raise VerificationFailed(
            f"torch's own float32 answers are off by {own_error:.2g}, too far to hold a graph to: training has diverged"
        )
    tolerance = max(TOLERANCE, 10 * own_error)
    own = [_run(runner, trial) for trial in trials]
    parity = _largest(map(_difference, own, (answers(model, trial) for trial in trials)))
    if not parity <= tolerance:
        raise VerificationFailed(
            f"the graph differs from torch by {parity:.2g}, more than the tolerance {tolerance:.2g}"
        )
    regrouped = _regrouped(runner, trials, own, random)
    if not regrouped <= tolerance:
        raise VerificationFailed(
            f"rows alone or in chunks differ from whole batches by {regrouped:.2g}, "
            f"more than the tolerance {tolerance:.2g}"
        )
    invariant = regrouped == 0.0 and not varying_operators(graph)
    return Verification(parity, tolerance, step_exact, invariant, _fed(trials[0]), answers(model, trials[0]))


def verify_start(
    model: SequenceModel, manifest: Manifest, graph: bytes, start: bytes, *, tolerance: float
) -> tuple[Arrays, Arrays]:
    """Hold the start graph against torch; gives what it was fed and what torch made of it.

    Raises:
        VerificationFailed: a state differs by more than the tolerance.
    """
    runner = Runner(manifest, graph, start=start)
    told, context = _some_context(model)
    with torch.no_grad():
        made = model.begin(MOST_ROWS, context)
    expected: Arrays = {f"state.{name}": tensor.numpy() for name, tensor in made.items()}
    error = _difference(runner.start(told), expected)
    if not error <= tolerance:
        raise VerificationFailed(
            f"the start graph differs from torch by {error:.2g}, more than the tolerance {tolerance:.2g}"
        )
    return told, expected


def _some_context(model: SequenceModel) -> tuple[Arrays, Tensor | Source]:
    """Draw what sequences are about, or written from, by the start graph's name and as torch takes it."""
    random = np.random.default_rng(0)
    if isinstance(model.cell, Sourced):
        most = model.cell.longest or MOST_SOURCE
        source = random.integers(0, model.source_symbols, (MOST_ROWS, most))
        return {SOURCE: source}, Source(torch.from_numpy(source), torch.full((MOST_ROWS,), most))
    context = random.normal(size=(MOST_ROWS, model.context)).astype(np.float32)
    return {CONTEXT: context}, torch.from_numpy(context)


def measure_quantized(model: SequenceModel, manifest: Manifest, graph: bytes, *, seed: int) -> Verification:
    """Measure how far a quantized graph is from torch on the same trials, in whole batches and in parts of them.

    The tolerance is twice the error: so far apart can two answers to the same be that are each within the error of
    torch, as those in other batches, by other threads and on other machines are.

    Raises:
        VerificationFailed: an answer is no number.
    """
    model.eval()
    runner = Runner(manifest, graph)
    random = np.random.default_rng(seed)
    trials = _trials(model, random)
    own = [_run(runner, trial) for trial in trials]
    true = [answers(model, trial) for trial in trials]
    whole = _largest(map(_difference, own, true))
    parity = _largest([whole, _regrouped(runner, trials, true, random)])
    if not np.isfinite(parity):
        raise VerificationFailed("the quantized graph gives answers that are no numbers; leave `export.int8` out")
    regrouped = _regrouped(runner, trials, own, random)
    return Verification(parity, max(TOLERANCE, 2 * parity), True, regrouped == 0.0, _fed(trials[0]), own[0])


@torch.no_grad()
def answers(model: SequenceModel, trial: Trial) -> Arrays:
    """Give torch's answers by the graph's output names."""
    state = {name.removeprefix("state."): torch.from_numpy(array) for name, array in trial.states.items()}
    x, lengths = torch.from_numpy(trial.x), torch.from_numpy(trial.lengths)
    y, next_state = model(x, state, lengths)
    told = {name: tensor.numpy() for name, tensor in model.told(x, state, lengths).items()}
    return {"y": y.numpy()} | told | {f"next_state.{name}": tensor.numpy() for name, tensor in next_state.items()}


def _trials(model: SequenceModel, random: np.random.Generator) -> list[Trial]:
    return [_trial(model, random) for _ in range(TRIALS)]


def _followed(model: SequenceModel, trial: Trial) -> Trial:
    """Cut a trial to steps that float32 can follow: in some models a small difference grows with every step."""
    while (time := trial.x.shape[1]) > 1 and not 10 * _float32_error(model, trial) <= LARGEST_TOLERANCE:
        trial = Trial(trial.x[:, : time // 2], np.minimum(trial.lengths, time // 2), trial.states)
    return trial


def _trial(model: SequenceModel, random: np.random.Generator) -> Trial:
    rows, time = int(random.integers(1, MOST_ROWS + 1)), int(random.integers(1, MOST_STEPS + 1))
    states = _random_states(model, rows, random)
    state = {name.removeprefix("state."): torch.from_numpy(array) for name, array in states.items()}
    drawn = model.cell.draw_inputs(rows, time, state, random)
    x, lengths = drawn or (_random_inputs(model, (rows, time), random), some_lengths(rows, time, random))
    return Trial(x, lengths, states)


def _random_inputs(model: SequenceModel, shape: tuple[int, int], random: np.random.Generator) -> Array:
    """Draw symbols, or numbers as the training data has them."""
    if not isinstance(model.embedding, Numbers):
        return random.integers(0, model.symbols, (*shape, *model.step_shape))
    axes = (int(random.integers(1, MOST_WIDTH + 1)),) if model.cell.across else model.step_shape
    numbers = random.normal(size=(*shape, *axes)).astype(np.float32)
    units = model.embedding.units
    return numbers if units is None else units.enter(torch.from_numpy(numbers)).numpy()


def _random_states(model: SequenceModel, rows: int, random: np.random.Generator) -> Arrays:
    """Draw states as a sequence may have; one that is written from a source begins with one."""
    if isinstance(model.cell, Sourced):
        lengths = random.integers(1, (model.cell.longest or MOST_SOURCE) + 1, rows)
        source = random.integers(0, model.source_symbols, (rows, int(lengths.max())))
        with torch.no_grad():
            made = model.begin(rows, Source(torch.from_numpy(source), torch.from_numpy(lengths)))
        return {f"state.{name}": tensor.numpy() for name, tensor in made.items()}
    if not all(part.takes_any_state for part in model.cell.modules() if isinstance(part, Cell)):
        return _reached_states(model, rows, random)
    return {
        f"state.{name}": _random_state(tensor, rows, random, model.cell.below.get(name, MOST_COUNTED))
        for name, tensor in model.cell.init_state(1).items()
    }


@torch.no_grad()
def _reached_states(model: SequenceModel, rows: int, random: np.random.Generator) -> Arrays:
    """Make states by steps from the first one, in each row so many of them as may be, also none."""
    x, lengths = _random_inputs(model, (rows, MOST_STEPS), random), random.integers(0, MOST_STEPS + 1, rows)
    _, state = model(torch.from_numpy(x), model.begin(rows), torch.from_numpy(lengths))
    return {f"state.{name}": tensor.numpy() for name, tensor in state.items()}


def _random_state(tensor: Tensor, rows: int, random: np.random.Generator, below: int) -> Array:
    shape = (rows, *tensor.shape[1:])
    if tensor.is_floating_point():
        return random.normal(size=shape).astype(np.float32)
    return random.integers(0, below, shape)


def _step_is_exact(runner: Runner, trial: Trial) -> bool:
    """Whether the step graph and the main graph do a trial's first step to the same bits."""
    if not runner.has_step:
        return True
    ones = np.ones_like(trial.lengths)
    found, expected = (runner.run({"x": trial.x[:, :1]}, ones, trial.states, step=step) for step in (True, False))
    return all(
        array.tobytes() == wanted[name].tobytes()
        for one, wanted in zip(found, expected, strict=True)
        for name, array in one.items()
    )


def _run(runner: Runner, trial: Trial) -> Arrays:
    outputs, next_states = runner.run({"x": trial.x}, trial.lengths, trial.states)
    return outputs | {f"next_{name}": array for name, array in next_states.items()}


def _float32_error(model: SequenceModel, trial: Trial) -> float:
    """How far torch's own float32 answers are from its float64 ones."""
    double = copy.deepcopy(model).double()
    states = {
        name: state.astype(np.float64) if state.dtype.kind == "f" else state for name, state in trial.states.items()
    }
    exact = Trial(trial.x.astype(np.float64) if trial.x.dtype.kind == "f" else trial.x, trial.lengths, states)
    return _difference(answers(model, trial), answers(double, exact))


def _fed(trial: Trial) -> Arrays:
    return {"x": trial.x, "lengths": trial.lengths, **trial.states}


def _regrouped(runner: Runner, trials: list[Trial], wholes: list[Arrays], random: np.random.Generator) -> float:
    """The largest difference of parts of batches from what is known of the whole ones."""
    pairs = zip(trials, wholes, strict=True)
    return _largest(error for trial, whole in pairs for error in _regroupings(runner, trial, whole, random))


def _regroupings(runner: Runner, trial: Trial, whole: Arrays, random: np.random.Generator) -> Iterator[float]:
    """Differences of a batch from one of its rows alone, from some of its rows, and from chunks of any sizes."""
    rows = len(trial.lengths)
    alone = [[int(random.integers(rows))], sorted(random.choice(rows, random.integers(1, rows + 1), replace=False))]
    for chosen in alone:
        # Cut to the rows' own length too: padding must not matter either.
        time = int(trial.lengths[chosen].max())
        part = Trial(trial.x[chosen, :time], trial.lengths[chosen], _fitting(runner, _rows(trial.states, chosen)))
        yield _difference(_run(runner, part), _fitting(runner, _rows(whole, chosen, time)))
    if runner.manifest.kind == "step":
        yield _difference(_in_chunks(runner, trial, random), whole)


def _in_chunks(runner: Runner, trial: Trial, random: np.random.Generator) -> Arrays:
    """Run a batch in chunks of random sizes; a row that has ended is left out of the chunks after it."""
    rows, time = trial.x.shape[:2]
    states = {name: array.copy() for name, array in trial.states.items()}
    chunks, start = [], 0
    while start < time:
        end = int(random.integers(start + 1, time + 1))
        going = np.flatnonzero(trial.lengths > start)
        lengths = np.minimum(trial.lengths[going], end) - start
        found = _run(runner, Trial(trial.x[going, start:end], lengths, _rows(states, going)))
        chunk = {}
        for spec in runner.manifest.outputs:
            array = found[spec.name]
            chunk[spec.name] = np.zeros((rows, *array.shape[1:]), array.dtype)
            chunk[spec.name][going] = array
        for name, state in states.items():
            state[going] = found[f"next_{name}"]
        chunks.append(chunk)
        start = end
    outputs = {name: np.concatenate([chunk[name] for chunk in chunks], 1) for name in chunks[0]}
    return outputs | {f"next_{name}": state for name, state in states.items()}


def _fitting(runner: Runner, arrays: Arrays) -> Arrays:
    """Cut the free axes of states, and of what is told of them, to the longest of some rows."""
    fitting = dict(arrays)
    for state in runner.manifest.states:
        if state.length_of is None:
            continue
        count = arrays.get(state.length_of, arrays.get(f"next_{state.length_of}"))
        assert count is not None
        most = int(count.max())
        fitting |= {name: arrays[name][:, :most] for name in (state.input, state.output) if name in arrays}
        told = [spec.name for spec in runner.manifest.outputs if spec.shape[-1] == state.shape[0]]
        fitting |= {name: arrays[name][..., :most] for name in told if name in arrays}
    return fitting


def _rows(arrays: Arrays, chosen: list[int] | Array, time: int | None = None) -> Arrays:
    """Some rows of each array, and of outputs over time the first steps."""
    states = ("state.", "next_state.")
    return {
        name: array[chosen] if name.startswith(states) or not time else array[chosen, :time]
        for name, array in arrays.items()
    }


def _difference(found: Arrays, expected: Arrays) -> float:
    """The largest absolute difference over all arrays; infinite where shapes differ."""
    if any(found[name].shape != array.shape for name, array in expected.items()):
        return float("inf")
    pairs = [(found[name].astype(np.float64), array.astype(np.float64)) for name, array in expected.items()]
    return _largest(float(np.abs(one - other).max()) for one, other in pairs)


def _largest(errors: Iterable[float]) -> float:
    """The largest, or NaN where there is one, which the built-in `max` would lose."""
    return float(np.max(list(errors)))
