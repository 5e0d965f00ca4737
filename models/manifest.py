"""The manifest: what a folder `NAME/VERSION/` holds, for training to write and serving to read."""

import re
from collections.abc import Iterable
from typing import Literal, Self

import msgspec

from models.errors import ManifestInvalid
from models.tensors import TIME, DType, Shape

FILE = "manifest.json"
GOLDEN = "golden.npz"
INITIAL = "initial.npz"
# Names of the protocol for many sequences in one request: what comes with it, and what its answer has besides outputs.
ANSWERED = frozenset({"sequence_status", "sequence_error", "recur_step", "recur_replayed"})
RESERVED = frozenset({"sequence_id", "sequence_start", "sequence_end", "recur_step", "recur_incarnation"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_INITIAL = re.compile(rf"{re.escape(INITIAL)}:[\w.]+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of the manifest: immutable, and closed to fields it does not know."""


class TensorSpec(_Part, frozen=True):
    """A tensor of the model without its batch axis: `["time", 32]` is `[batch, time, 32]`."""

    name: str
    dtype: DType
    shape: Shape

    def __post_init__(self) -> None:
        """Check the axes; the error names the field."""
        for axis in self.shape:
            if isinstance(axis, int) and axis < 1:
                raise ValueError(f"axis {axis} of tensor '{self.name}' must be at least 1, or the name of a free axis")

    @property
    def is_timed(self) -> bool:
        """Whether its first axis is time."""
        return self.shape[:1] == (TIME,)


class StateSpec(_Part, frozen=True):
    """A state tensor, paired by name: the graph reads `input` and writes `output`."""

    input: str
    output: str
    dtype: DType
    shape: Shape
    batch_axis: int = 0
    initial: str = "zeros"
    length_of: str | None = None

    def __post_init__(self) -> None:
        """Check where the initial value comes from."""
        if self.initial != "zeros" and not _INITIAL.fullmatch(self.initial):
            raise ValueError(f"initial '{self.initial}' must be 'zeros' or '{INITIAL}:KEY'")
        if not 0 <= self.batch_axis <= len(self.shape):
            raise ValueError(f"batch_axis {self.batch_axis} must be from 0 to {len(self.shape)}")

    @property
    def initial_key(self) -> str | None:
        """The key in initial.npz, or None for zeros."""
        return None if self.initial == "zeros" else self.initial.removeprefix(f"{INITIAL}:")


class Graphs(_Part, frozen=True):
    """The ONNX files by role; `main` is the causal model over chunks of any length."""

    main: str
    start: str | None = None
    step: str | None = None
    peek: str | None = None


class Decode(_Part, frozen=True):
    """How an output is fed back as the next input when the model generates.

    Attributes:
        output, input: by name.
        sampling: how the next input is drawn from an answer.
        start: the symbol that a sequence without steps begins with.
        end: the symbol that ends one.
        stop_unit: whether the last logit of a `categorical` answer is that of a unit that ends the sequence.
        lengths: how probable each length is, from 0 on, where sequences are told theirs at the beginning, as the last
            number of what the start graph takes; `start` is then read and never written. Empty elsewhere.
    """

    output: str
    input: str
    sampling: Literal["categorical", "bernoulli", "argmax", "identity"]
    start: int | None = None
    end: int | None = None
    stop_unit: bool = False
    lengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check that a unit that ends stands beside symbols."""
        if self.stop_unit and self.sampling not in ("categorical", "argmax"):
            raise ValueError(f"stop_unit needs symbols, which sampling '{self.sampling}' has none of")
        if self.lengths and (self.start is None or self.sampling not in ("categorical", "argmax")):
            raise ValueError("lengths need symbols, and one to start with")
        if self.lengths and not (min(self.lengths) >= 0 and 0.99 < sum(self.lengths) < 1.01):
            raise ValueError("lengths must be probabilities, which together are 1")


class Measured(_Part, frozen=True):
    """What training and verification measured of this very model."""

    metric: str | None = None
    value: float | None = None
    published: float | None = None
    citation: str | None = None
    parity_error: float | None = None
    batch_invariant: bool = False


class Quantized(_Part, frozen=True):
    """The model that this one is a smaller copy of, its main graph's digest, and what the weights became."""

    of: str
    graph: str
    to: Literal["int8"]

    def __post_init__(self) -> None:
        """Check that it names a model and a file's content."""
        check_name(self.of)
        if not _DIGEST.fullmatch(self.graph):
            raise ValueError(f"graph '{self.graph}' must be 'sha256:' and 64 hexadecimal digits")


class Provenance(_Part, frozen=True):
    """Where the model comes from."""

    recipe: str | None = None
    seed: int | None = None
    data: str | None = None
    data_licence: str | None = None
    libraries: dict[str, str] = {}


class Manifest(_Part, frozen=True, kw_only=True):
    """The whole contract of one model version.

    Attributes:
        spelled: how many numbers of a step the vocabulary tells, the first ones; None for all of them.
    """

    schema_version: Literal[1] = 1
    name: str
    version: int
    architecture: str
    kind: Literal["step", "sequence"]
    files: dict[str, str]
    graphs: Graphs
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    lengths: str | None
    states: tuple[StateSpec, ...]
    decode: Decode | None = None
    vocabulary: str | None = None
    spelled: int | None = None
    labels: str | None = None
    allow_nonfinite: bool = False
    delay: int = 0
    refuses: str | None = None
    golden_source: Literal["torch", "onnxruntime"]
    tolerance: float
    measured: Measured = Measured()
    quantized: Quantized | None = None
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        """Check what single fields cannot show: names, digests, references between fields."""
        check_name(self.name)
        if self.version < 1:
            raise ValueError(f"version {self.version} must be at least 1")
        if self.delay < 0:
            raise ValueError(f"delay {self.delay} must be the steps by which answers come later, at least 0")
        if not self.tolerance > 0:
            raise ValueError(f"tolerance {self.tolerance} must be above 0")
        self._check_files()
        self._check_tensors()

    def _check_files(self) -> None:
        for name, digest in self.files.items():
            check_file_name(name)
            if not _DIGEST.fullmatch(digest):
                raise ValueError(f"files['{name}'] must be 'sha256:' and 64 hexadecimal digits")
        for field, referred in self._referred_files():
            if referred is not None and referred not in self.files:
                raise ValueError(f"{field} is '{referred}', which files does not list")

    def _referred_files(self) -> Iterable[tuple[str, str | None]]:
        yield "the golden file", GOLDEN
        yield "graphs.main", self.graphs.main
        yield "graphs.start", self.graphs.start
        yield "graphs.step", self.graphs.step
        yield "graphs.peek", self.graphs.peek
        yield "vocabulary", self.vocabulary
        yield "labels", self.labels
        if any(state.initial_key for state in self.states):
            yield "the file of initial states", INITIAL

    def _check_tensors(self) -> None:
        if not self.inputs or not self.outputs:
            raise ValueError("inputs and outputs must each name at least one tensor")
        into = [tensor.name for tensor in self.inputs] + [state.input for state in self.states]
        out = [tensor.name for tensor in self.outputs] + [state.output for state in self.states]
        into += [self.lengths] if self.lengths is not None else []
        for names, field in ((into, "inputs"), (out, "outputs")):
            if repeated := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{field} and states name '{min(repeated)}' twice")
        for tensor in self.inputs:
            if tensor.name in RESERVED or tensor.name == "lengths":
                raise ValueError(f"inputs names '{tensor.name}', a name that the protocol reserves")
        for tensor in self.outputs:
            if tensor.name in ANSWERED:
                raise ValueError(f"outputs names '{tensor.name}', a name that the protocol reserves")
        if self.decode is not None and (self.decode.input not in into or self.decode.output not in out):
            raise ValueError("decode names a tensor that is not among inputs and outputs")

    @classmethod
    def decode_json(cls, data: bytes) -> Self:
        """Read a manifest; raises ManifestInvalid with the field that is wrong and why."""
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise ManifestInvalid(f"manifest: {_as_sentence(error)}") from error
        except UnicodeDecodeError as error:
            raise ManifestInvalid("manifest: the file is not UTF-8 text") from error

    def encode_json(self) -> bytes:
        """Write the manifest as people read it: indented, every field there."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def check_name(name: str) -> None:
    """Raise ValueError unless `name` can name a model and its folder."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"name '{name}' must be 1 to 128 letters, digits, '_', '.' or '-', a letter or digit first")


def check_file_name(name: str) -> None:
    """Raise ValueError unless `name` can name a file beside the manifest."""
    if not _NAME.fullmatch(name) or name == FILE:
        raise ValueError(f"files names '{name}', which is not a plain file name of its own")


def _as_sentence(error: msgspec.MsgspecError) -> str:
    """Put the field first, as people look for it: `$.inputs[0].dtype: …`."""
    text = str(error)
    place = _PLACE.search(text)
    return f"{place[1]}: {text[: place.start()]}" if place else text
