"""Makes a model of a bare ONNX graph: runs it to see what it answers, measures it and publishes it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.errors import ImportRefused, ModelDamaged, RowsInvalid
from models.golden import write_golden
from models.guessing import Guess, guess_tensors
from models.manifest import GOLDEN, INITIAL, Graphs, Manifest, Measured, Provenance, TensorSpec, check_name
from models.repository import ModelVersion, Repository, digest_of
from models.rows import steps_of, time_axis
from models.runner import Array, Arrays, Runner
from models.session import open_session
from models.tensors import NUMPY, TIME, DType, Shape
from models.told import Told

GRAPH = "model.onnx"
TOLERANCE = 1e-5
SEED = 0
ROWS, STEPS = 8, 6
# Two runs of other sizes tell an output's free axes from its fixed ones.
SIZES = ((3, 5), (4, 7))


class Rows(NamedTuple):
    """What one run is fed, as `Runner.run` takes it."""

    inputs: Arrays
    lengths: NDArray[np.int64]
    states: Arrays


def import_model(
    repository: Repository, name: str, file: Path, told: Told, *, say: Callable[[str], None]
) -> ModelVersion:
    """Publish the next version of `name` from an ONNX file.

    Args:
        repository: where to publish.
        name: the model's name there.
        file: the graph; its weights are in it.
        told: what the command line says of its tensors.
        say: told each guess, a line at a time.

    Raises:
        ImportRefused: the graph does not tell something; the text names the option that does.
        ModelError: the graph cannot be loaded or fails.
    """
    graph = _read(name, file)
    guess = guess_tensors(_open(file, graph), told)
    for line in guess.describe():
        say(line)
    initial = {state.input: _initial(state.dtype, state.shape, state.input, told) for state in guess.states}
    trial = _Trial(_draft(name, graph, guess), graph, initial, told.values)
    outputs = trial.measured_outputs()
    fed = trial.golden_rows()
    answered = trial.run(fed)
    alone, in_chunks = trial.is_same_alone(fed, answered), trial.is_same_in_chunks(fed, outputs)
    say(f"a row alone answers {'as' if alone else 'otherwise than'} in a batch, bit for bit")
    say(f"a sequence in chunks answers {'as' if in_chunks else 'otherwise than'} whole, bit for bit")
    manifest = msgspec.structs.replace(
        trial.runner.manifest, outputs=outputs, measured=Measured(batch_invariant=alone and in_chunks)
    )
    return _publish(repository, manifest, graph, fed, answered, initial)


class _Trial:
    """The graph run on seeded random rows."""

    def __init__(self, manifest: Manifest, graph: bytes, initial: Arrays, values: dict[str, float]) -> None:
        self.runner = Runner(manifest, graph)
        self._initial = initial
        self._values = values
        self._random = np.random.default_rng(SEED)
        self._timed = any(TIME in tensor.shape for tensor in manifest.inputs)

    def run(self, rows: Rows) -> Arrays:
        """Answer by the graph's names, outputs and next states."""
        try:
            outputs, states = self.runner.run(*rows)
        except (RowsInvalid, ModelDamaged) as error:
            said = " ".join(str(error.__cause__ or error).split())
            raise ImportRefused(
                f"the graph does not run on random rows; correct --batch-axis, --shape, --state or --value ({said})"
            ) from error
        return outputs | {state.output: states[state.input] for state in self.runner.manifest.states}

    def rows(self, count: int, time: int) -> Rows:
        """Draw inputs; the states are those that a sequence begins with."""
        time = time if self._timed else 1
        manifest, random = self.runner.manifest, self._random
        lengths = np.full(count, time)
        if manifest.lengths is not None:
            lengths[1:] = random.integers(1, time + 1, count - 1)
        inputs = {tensor.name: self._draw(tensor, count, time) for tensor in manifest.inputs}
        return Rows(inputs, lengths, {name: np.stack([row] * count) for name, row in self._initial.items()})

    def _draw(self, tensor: TensorSpec, count: int, time: int) -> Array:
        shape = (count, *(time if axis == TIME else int(axis) for axis in tensor.shape))
        dtype = NUMPY[tensor.dtype]
        if tensor.name in self._values:
            return np.full(shape, self._values[tensor.name]).astype(dtype)
        if dtype.kind == "f":
            return self._random.uniform(-1, 1, shape).astype(dtype)
        return self._random.integers(0, 2 if dtype.kind == "b" else 4, shape).astype(dtype)

    def measured_outputs(self) -> tuple[TensorSpec, ...]:
        """Measure the outputs' shapes, and hold the next states' against the states'."""
        answers = [self.run(self.rows(*size)) for size in SIZES]
        for state in self.runner.manifest.states:
            for (rows, _), answer in zip(SIZES, answers, strict=True):
                if answer[state.output].shape != (rows, *state.shape):
                    raise ImportRefused(
                        f"'{state.output}' has shape {answer[state.output].shape[1:]} a row and '{state.input}' "
                        f"{state.shape}; pair them by --state, or give --batch-axis or --shape"
                    )
        return tuple(
            msgspec.structs.replace(
                output, shape=_measured_shape(output.name, *(a[output.name].shape for a in answers))
            )
            for output in self.runner.manifest.outputs
        )

    def golden_rows(self) -> Rows:
        """Draw rows whose states are what the graph itself made of others: states that sequences do have."""
        before = self.run(self.rows(ROWS, STEPS))
        states = {state.input: before[state.output] for state in self.runner.manifest.states}
        return self.rows(ROWS, STEPS)._replace(states=states)

    def is_same_alone(self, fed: Rows, answered: Arrays) -> bool:
        """Tell whether each row alone has the bits that it has among the others."""
        for row in range(ROWS):
            alone = self.run(Rows(_row(fed.inputs, row), fed.lengths[row : row + 1], _row(fed.states, row)))
            if not _same_bits(alone, _row(answered, row)):
                return False
        return True

    def is_same_in_chunks(self, fed: Rows, outputs: tuple[TensorSpec, ...]) -> bool:
        """Tell whether full rows cut in two at any step have the bits that they have whole."""
        if not self._timed:
            return True
        whole = self.run(fed._replace(lengths=np.full(ROWS, STEPS)))
        parts = (self._in_two(fed, outputs, cut) for cut in range(1, STEPS))
        return all(_same_bits(answers, whole) for answers in parts)

    def _in_two(self, fed: Rows, outputs: tuple[TensorSpec, ...], cut: int) -> Arrays:
        specs = self.runner.manifest.inputs
        first = self.run(Rows(steps_of(specs, fed.inputs, 0, cut), np.full(ROWS, cut), fed.states))
        states = {state.input: first[state.output] for state in self.runner.manifest.states}
        rest = STEPS - cut
        answers = self.run(Rows(steps_of(specs, fed.inputs, cut, STEPS), np.full(ROWS, rest), states))
        for output in outputs:
            if (axis := time_axis(output)) is not None:
                answers[output.name] = np.concatenate([first[output.name], answers[output.name]], axis)
        return answers


def _same_bits(found: Arrays, expected: Arrays) -> bool:
    return all(found[name].tobytes() == array.tobytes() for name, array in expected.items())


def _row(arrays: Arrays, row: int) -> Arrays:
    return {name: array[row : row + 1] for name, array in arrays.items()}


def _measured_shape(name: str, first: tuple[int, ...], second: tuple[int, ...]) -> Shape:
    (rows, time), (other_rows, other_time) = SIZES
    if (first[:1], second[:1]) != ((rows,), (other_rows,)) or len(first) != len(second):
        raise ImportRefused(f"output '{name}' is {list(first)} for {rows} rows; export it with the batch axis first")
    shape: list[int | str] = []
    for axis, other in zip(first[1:], second[1:], strict=True):
        if axis != other and (axis, other) != (time, other_time):
            raise ImportRefused(f"output '{name}' is {list(first)} for {time} steps; only its time axis may be free")
        shape.append(axis if axis == other else TIME)
    return tuple(shape)


def _read(name: str, file: Path) -> bytes:
    try:
        check_name(name)
    except ValueError as error:
        raise ImportRefused(f"--name: {error}") from error
    try:
        return file.read_bytes()
    except OSError as error:
        raise ImportRefused(f"{file} cannot be read: {error.strerror}") from error


def _open(file: Path, graph: bytes) -> ort.InferenceSession:
    try:
        return open_session(graph)
    except ModelDamaged as error:
        raise ImportRefused(
            f"{file} is not a graph that ONNX Runtime can load; weights in a second file must be saved inside it"
        ) from error


def _initial(dtype: DType, shape: Shape, name: str, told: Told) -> Array:
    wanted = tuple(int(axis) for axis in shape)
    if name not in told.initial:
        return np.zeros(wanted, NUMPY[dtype])
    try:
        row: Array = np.load(told.initial[name], allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ImportRefused(f"--initial {name}: {told.initial[name]} is not a NumPy array's file") from error
    if not isinstance(row, np.ndarray) or row.shape != wanted or row.dtype != NUMPY[dtype]:
        raise ImportRefused(f"--initial {name}: the file must hold {dtype} {list(wanted)}, without the batch axis")
    return row


def _draft(name: str, graph: bytes, guess: Guess) -> Manifest:
    """Describe what is known before the graph has run; the files' digests but the graph's are filled in later."""
    nothing = digest_of(b"")
    try:
        return Manifest(
            name=name,
            version=1,
            architecture="onnx",
            kind="step",
            files={GRAPH: digest_of(graph), GOLDEN: nothing, INITIAL: nothing},
            graphs=Graphs(main=GRAPH),
            inputs=guess.inputs,
            outputs=guess.outputs,
            lengths=guess.lengths,
            states=guess.states,
            golden_source="onnxruntime",
            tolerance=TOLERANCE,
            provenance=Provenance(seed=SEED, libraries={"onnxruntime": ort.__version__}),
        )
    except ValueError as error:
        raise ImportRefused(f"the graph's tensors make no model: {error}") from error


def _publish(
    repository: Repository, manifest: Manifest, graph: bytes, fed: Rows, answered: Arrays, initial: Arrays
) -> ModelVersion:
    with tempfile.TemporaryDirectory() as folder:
        files = {GRAPH: Path(folder, GRAPH), GOLDEN: Path(folder, GOLDEN)}
        files[GRAPH].write_bytes(graph)
        lengths = {manifest.lengths or "lengths": fed.lengths}
        write_golden(files[GOLDEN], fed.inputs | lengths | fed.states, answered)
        stored = {state.initial_key: initial[state.input] for state in manifest.states if state.initial_key}
        if stored:
            files[INITIAL] = Path(folder, INITIAL)
            np.savez(files[INITIAL], **stored)  # type: ignore[arg-type]  # savez types its keywords as its own flag
        return repository.publish(
            manifest.name,
            files,
            lambda version, digests: msgspec.structs.replace(manifest, version=version, files=digests),
        )
