"""Small ONNX models written by hand, published as a repository's models for every test to use."""

import io
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec
import numpy as np
import onnx.parser
import onnxruntime as ort
from onnx import numpy_helper

from models.golden import write_golden
from models.manifest import FILE, GOLDEN, INITIAL, Decode, Graphs, Manifest, StateSpec, TensorSpec
from models.repository import ModelVersion, Repository, digest_of
from models.runner import Arrays

GRAPH = "model.onnx"
VOCABULARY = "vocabulary.txt"
PRIME = 2**31 - 1

# Opset 21 and IR 10 are what the training side exports.
_HEADER = '<ir_version: 10, opset_import: ["": 21]>'

# Which steps of `x` are valid: `within` [batch, time] and `mask` [batch, time, 1].
_MASK = """
  zero = Constant <value = int64 {0}> ()
  one = Constant <value = int64 {1}> ()
  last_axis = Constant <value = int64[1] {-1}> ()
  nothing = Constant <value = float {0.0}> ()
  times = Shape <start = 1, end = 2> (x)
  time = Squeeze (times)
  ticks = Range (zero, time, one)
  ends = Unsqueeze (lengths, last_axis)
  within = Less (ticks, ends)
  mask = Unsqueeze (within, last_axis)
"""


@dataclass(frozen=True, slots=True)
class Role:
    """A graph beside the main one, and the golden inputs of a start or peek graph by its names."""

    graph: bytes
    fed: Arrays = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ZooModel:
    """A graph, its part of the manifest, and what its golden answers are computed from.

    Attributes:
        fed: the golden inputs, lengths and states, by the graph's names; two rows at least.
        initial: the arrays of initial.npz, where a state's initial value is stored.
        lengths: the graph's input of lengths.
        roles: the start, step and peek graphs that it has.
        reference: gives the golden answers where the graph's own layout is not the callers'.
        kind: whether it is causal, or needs the whole sequence.
    """

    architecture: str
    graph: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[StateSpec, ...]
    fed: Arrays
    initial: Mapping[str, np.ndarray] = field(default_factory=dict)
    lengths: str | None = "lengths"
    decode: Decode | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    reference: Callable[[Arrays], Arrays] | None = None
    kind: Literal["step", "sequence"] = "step"

    def answers(self) -> Arrays:
        """Run the golden inputs in ONNX Runtime itself, apart from the runner that is tested with them."""
        if self.reference is not None:
            return self.reference(self.fed)
        return _answers(self.graph, self.fed)

    def files(self) -> dict[str, bytes]:
        """Give the files of a version, but for the manifest."""
        with tempfile.TemporaryDirectory() as folder:
            golden = Path(folder, GOLDEN)
            asked = {name: (role.fed, _answers(role.graph, role.fed)) for name, role in self.roles.items() if role.fed}
            write_golden(golden, self.fed, self.answers(), **asked)
            files = {GRAPH: self.graph, GOLDEN: golden.read_bytes()}
        files |= {f"{name}.onnx": role.graph for name, role in self.roles.items()}
        if self.initial:
            files[INITIAL] = archive(self.initial)
        return files

    def manifest(self, name: str = "zoo", version: int = 1, digests: dict[str, str] | None = None) -> Manifest:
        """Describe one version; without `digests`, of the files that would be published."""
        return Manifest(
            name=name,
            version=version,
            architecture=self.architecture,
            kind=self.kind,
            files=digests or {file: digest_of(data) for file, data in self.files().items()},
            graphs=Graphs(main=GRAPH, **{name: f"{name}.onnx" for name in self.roles}),
            inputs=self.inputs,
            outputs=self.outputs,
            lengths=self.lengths,
            states=self.states,
            decode=self.decode,
            golden_source="onnxruntime",
            tolerance=1e-6,
        )


def _answers(graph: bytes, fed: Arrays) -> Arrays:
    """Run a graph on what it takes of `fed`."""
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    taken = {node.name: fed[node.name] for node in session.get_inputs()}
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(names, taken), strict=True))


def publish(
    repository: Repository,
    name: str,
    model: ZooModel,
    *,
    vocabulary: str | None = None,
    pictures: Mapping[str, bytes] = MappingProxyType({}),
    **overrides: object,
) -> ModelVersion:
    """Publish the next version of `name`; `overrides` replace fields of its manifest."""
    files = {**model.files(), **pictures}
    if vocabulary is not None:
        files[VOCABULARY] = vocabulary.encode()
        overrides["vocabulary"] = VOCABULARY
    with tempfile.TemporaryDirectory() as folder:
        sources = {file: Path(folder, file) for file in files}
        for file, source in sources.items():
            source.write_bytes(files[file])
        return repository.publish(
            name,
            sources,
            lambda version, digests: msgspec.structs.replace(model.manifest(name, version, digests), **overrides),
        )


def replace_file(place: ModelVersion, file: str, data: bytes) -> None:
    """Put other bytes into a published version and their digest into its manifest, as a wrong publisher would."""
    path = place.folder / FILE
    manifest = msgspec.json.decode(path.read_bytes())
    manifest["files"][file] = digest_of(data)
    (place.folder / file).write_bytes(data)
    path.write_bytes(msgspec.json.encode(manifest))


def archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Give the bytes of a NumPy archive."""
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # savez types its keywords as its own flag
    return file.getvalue()


def lstm(features: int = 32, hidden: int = 128, outputs: int = 32, seed: int = 0) -> ZooModel:
    """Make an LSTM node with a readout; weights are random, states `state.h` and `state.c`."""
    return _recurrent("LSTM", 4, "hc", features, hidden, outputs, seed)


def elman(features: int = 32, hidden: int = 128, outputs: int = 32, seed: int = 0) -> ZooModel:
    """Make an RNN node with a readout and the state `state.h`; alone, a lone row would differ in its last bits."""
    return _recurrent("RNN", 1, "h", features, hidden, outputs, seed)


def gru(features: int = 32, hidden: int = 128, outputs: int = 32, seed: int = 0) -> ZooModel:
    """Make a GRU node with a readout and the state `state.h`."""
    return _recurrent("GRU", 3, "h", features, hidden, outputs, seed)


def _recurrent(operator: str, gates: int, states: str, features: int, hidden: int, outputs: int, seed: int) -> ZooModel:
    weights = recurrent_weights(gates, features, hidden, outputs, seed)
    random = np.random.default_rng(seed + 1)
    lengths = np.array([5, 1, 3])
    begin = {f"state.{name}": uniform(random, (3, hidden)) for name in states}
    return ZooModel(
        architecture=operator.lower(),
        graph=build(_recurrent_graph(operator, states, features, hidden, outputs), weights),
        inputs=(TensorSpec("x", "FP32", ("time", features)),),
        outputs=(TensorSpec("y", "FP32", ("time", outputs)),),
        states=tuple(StateSpec(f"state.{name}", f"next_state.{name}", "FP32", (hidden,)) for name in states),
        fed={"x": uniform(random, (3, 5, features)), "lengths": lengths, **begin},
    )


def recurrent_weights(gates: int, features: int, hidden: int, outputs: int, seed: int) -> dict[str, np.ndarray]:
    """Draw the weights of a recurrent node, by ONNX's letters, and of its readout."""
    random = np.random.default_rng(seed)
    shapes = {
        "W": (1, gates * hidden, features),
        "R": (1, gates * hidden, hidden),
        "B": (1, 2 * gates * hidden),
        "V": (hidden, outputs),
        "b": (outputs,),
    }
    return {name: uniform(random, shape) / np.float32(np.sqrt(hidden)) for name, shape in shapes.items()}


def _recurrent_graph(operator: str, states: str, features: int, hidden: int, outputs: int) -> str:
    into = "".join(f', float[batch, {hidden}] "state.{name}"' for name in states)
    out = "".join(f', float[batch, {hidden}] "next_state.{name}"' for name in states)
    unsqueezed = "".join(f'{name} = Unsqueeze ("state.{name}", batch_axis)\n' for name in states)
    # The node gives a row of no steps the state zero; such a row keeps the state it had.
    kept = "".join(
        f"""
      {name}_next = Squeeze ({name}_last, batch_axis)
      "next_state.{name}" = Where (moved, {name}_next, "state.{name}")"""
        for name in states
    )
    return f"""
    recurrent (float[batch, time, {features}] x, int64[batch] lengths{into})
      => (float[batch, time, {outputs}] y{out})
    {{
      {_MASK}
      batch_axis = Constant <value = int64[1] {{0}}> ()
      time_axis = Constant <value = int64[1] {{1}}> ()
      {unsqueezed}
      x_by_time = Transpose <perm = [1, 0, 2]> (x)
      valid = Cast <to = {onnx.TensorProto.INT32}> (lengths)
      by_time, {", ".join(f"{name}_last" for name in states)}
        = {operator} <hidden_size = {hidden}> (x_by_time, W, R, B, valid, {", ".join(states)})
      steps = Squeeze (by_time, time_axis)
      by_row = Transpose <perm = [1, 0, 2]> (steps)
      projected = MatMul (by_row, V)
      answers = Add (projected, b)
      y = Where (mask, answers, nothing)
      moved = Greater (ends, zero)
      {kept}
    }}"""


def half(graph: bytes) -> bytes:
    """Turn a graph's float32 to float16; a recurrent node of float16 ends the process that loads it."""
    model = onnx.load_from_string(graph)
    halves = [value.type.tensor_type for value in (*model.graph.input, *model.graph.output)]
    for tensor in halves:
        if tensor.elem_type == onnx.TensorProto.FLOAT:
            tensor.elem_type = onnx.TensorProto.FLOAT16
    constants = [attribute.t for node in model.graph.node for attribute in node.attribute]
    for stored in (*model.graph.initializer, *constants):
        if stored.data_type == onnx.TensorProto.FLOAT:
            stored.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stored).astype(np.float16), stored.name))
    return model.SerializeToString()


def ledger() -> ZooModel:
    """Make an exact record of all inputs: each step's digest of it and of every step before, so that any
    step lost, done twice or out of order shows in all later answers. Inputs are from 0 to 2**32.
    """
    graph = f"""
    ledger (int64[batch, time] x, int64[batch] lengths, int64[batch] "state.digest")
      => (int64[batch, time] y, int64[batch] "next_state.digest")
    {{
      begin = Constant <value = int64 {{0}}> ()
      steps, "next_state.digest", y = Scan <
        num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1],
        body = step (int64 t, int64[batch] digest, int64[batch] x_t)
          => (int64 t_next, int64[batch] digest_next, int64[batch] y_t)
        {{
          one = Constant <value = int64 {{1}}> ()
          nothing = Constant <value = int64 {{0}}> ()
          factor = Constant <value = int64 {{1000003}}> ()
          prime = Constant <value = int64 {{{PRIME}}}> ()
          t_next = Add (t, one)
          within = Less (t, lengths)
          shifted = Mul (digest, factor)
          entry = Add (x_t, one)
          sum = Add (shifted, entry)
          entered = Mod (sum, prime)
          digest_next = Where (within, entered, digest)
          y_t = Where (within, entered, nothing)
        }}
      > (begin, "state.digest", x)
    }}"""
    return ZooModel(
        architecture="ledger",
        graph=build(graph),
        inputs=(TensorSpec("x", "INT64", ("time",)),),
        outputs=(TensorSpec("y", "INT64", ("time",)),),
        states=(StateSpec("state.digest", "next_state.digest", "INT64", ()),),
        fed={
            "x": np.array([[3, 1, 4, 1], [5, 9, 0, 0], [2, 0, 0, 0]]),
            "lengths": np.array([4, 2, 1]),
            "state.digest": np.array([0, 6, PRIME - 1]),
        },
    )


def ledger_answers(xs: Iterable[int], state: int = 0) -> list[int]:
    """Give the ledger's answer to each of `xs` after `state`; the last one is its next state."""
    answers = []
    for x in xs:
        state = (state * 1_000_003 + x + 1) % PRIME
        answers.append(state)
    return answers


def running_sum(features: int = 1, initial: Sequence[float] | None = None) -> ZooModel:
    """Make a model that answers the sum of its inputs so far, begun at `initial` (stored in initial.npz) or zero."""
    return _running_sum(features, initial, "Identity")


def overflow(features: int = 1) -> ZooModel:
    """Make a running sum that answers its hyperbolic tangent: of inputs such as 3e38 twice the state
    becomes infinite, and the answer does not show it.
    """
    return _running_sum(features, None, "Tanh")


def _running_sum(features: int, initial: Sequence[float] | None, readout: str) -> ZooModel:
    graph = f"""
    running_sum (float[batch, time, {features}] x, int64[batch] lengths, float[batch, {features}] "state.sum")
      => (float[batch, time, {features}] y, float[batch, {features}] "next_state.sum")
    {{
      {_MASK}
      time_axis = Constant <value = int64[1] {{1}}> ()
      before = Unsqueeze ("state.sum", time_axis)
      valid = Where (mask, x, nothing)
      entries = Concat <axis = 1> (before, valid)
      sums = CumSum (entries, one)
      rest = Constant <value = int64[1] {{{np.iinfo(np.int64).max}}}> ()
      after = Slice (sums, time_axis, rest, time_axis)
      answers = {readout} (after)
      y = Where (mask, answers, nothing)
      "next_state.sum" = Gather <axis = 1> (sums, time)
    }}"""
    stored = {} if initial is None else {"sum": np.array(initial, np.float32)}
    begin = "zeros" if initial is None else f"{INITIAL}:sum"
    steps = np.arange(2 * 3 * features, dtype=np.float32).reshape(2, 3, features)
    return ZooModel(
        architecture="running_sum",
        graph=build(graph),
        inputs=(TensorSpec("x", "FP32", ("time", features)),),
        outputs=(TensorSpec("y", "FP32", ("time", features)),),
        states=(StateSpec("state.sum", "next_state.sum", "FP32", (features,), initial=begin),),
        fed={"x": steps, "lengths": np.array([2, 3]), "state.sum": np.ones((2, features), np.float32)},
        initial=stored,
    )


def lookup(rows: int = 4) -> ZooModel:
    """Make a table of `rows` numbers that counts its steps; an index outside it is what the graph itself refuses."""
    graph = f"""
    lookup (int64[batch, time] x, int64[batch] lengths, int64[batch] "state.count")
      => (float[batch, time, 1] y, int64[batch] "next_state.count")
    {{
      {_MASK}
      found = Gather (table, x)
      y = Where (mask, found, nothing)
      "next_state.count" = Add ("state.count", lengths)
    }}"""
    return ZooModel(
        architecture="lookup",
        graph=build(graph, {"table": np.arange(1, rows + 1, dtype=np.float32)[:, None]}),
        inputs=(TensorSpec("x", "INT64", ("time",)),),
        outputs=(TensorSpec("y", "FP32", ("time", 1)),),
        states=(StateSpec("state.count", "next_state.count", "INT64", ()),),
        fed={
            "x": np.array([[0, rows - 1], [1, 0]]),
            "lengths": np.array([2, 1]),
            "state.count": np.array([0, 7]),
        },
    )


def build(graph: str, weights: Mapping[str, np.ndarray] | None = None) -> bytes:
    """Parse a graph written as text, and give it its weights."""
    model = onnx.parser.parse_model(_HEADER + graph)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    return model.SerializeToString()


def uniform(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw float32 numbers from -1 to 1."""
    return random.uniform(-1, 1, shape).astype(np.float32)


def grid_sums() -> ZooModel:
    """Make a model that needs whole grids, of any width: `y_t` is the sum of row t and of all rows below; exact."""
    graph = f"""
    below (int64[batch, time, width] x, int64[batch] lengths) => (int64[batch, time] y)
    {{
      two = Constant <value = int64[1] {{2}}> ()
      {_MASK.replace("nothing = Constant <value = float {0.0}> ()", "none = Constant <value = int64 {0}> ()")}
      across = ReduceSum <keepdims = 0> (x, two)
      valid = Where (within, across, none)
      y = CumSum <reverse = 1> (valid, one)
    }}"""
    return ZooModel(
        architecture="below",
        graph=build(graph, {}),
        inputs=(TensorSpec("x", "INT64", ("time", "width")),),
        outputs=(TensorSpec("y", "INT64", ("time",)),),
        states=(),
        fed={"x": np.arange(30, dtype=np.int64).reshape(2, 5, 3), "lengths": np.array([5, 2])},
        kind="sequence",
    )


def sums_to_come() -> ZooModel:
    """Make a model that needs whole sequences: `y_t` is the sum of `x_t` and of all that follows in its row, and
    `last` is that of all; both exact, for integers.
    """
    graph = f"""
    backward (int64[batch, time] x, int64[batch] lengths) => (int64[batch, time] y, int64[batch] last)
    {{
      {_MASK.replace("nothing = Constant <value = float {0.0}> ()", "none = Constant <value = int64 {0}> ()")}
      valid = Where (within, x, none)
      y = CumSum <reverse = 1> (valid, one)
      time_axis = Constant <value = int64[1] {{1}}> ()
      last = ReduceSum <keepdims = 0> (valid, time_axis)
    }}"""
    return ZooModel(
        architecture="backward",
        graph=build(graph, {}),
        inputs=(TensorSpec("x", "INT64", ("time",)),),
        outputs=(TensorSpec("y", "INT64", ("time",)), TensorSpec("last", "INT64", ())),
        states=(),
        fed={"x": np.arange(10, dtype=np.int64).reshape(2, 5), "lengths": np.array([5, 2])},
        kind="sequence",
    )
