"""Reads requests; one that differs from an earlier one in its values alone is not parsed again.

Most requests of a model are equal but for the numbers in their tensors, the sequence, its step and its life. What is
left when those are cut out, the outline, says how to read the rest: it is parsed, checked against the model and
remembered once. Any request whose outline is not known, or has none, is parsed whole.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, cast, final

import msgspec
import numpy as np
from google.protobuf.message import DecodeError

from models.manifest import Manifest, TensorSpec
from models.tensors import NUMPY
from server.codec.parameters import Parameters, decode_parameters, is_name
from server.codec.tensors import Tensors, decode_tensors, split, tensors_of, wanted_outputs
from server.codec.varint import read_varint, varint
from server.digest import life_of
from server.errors import InvalidRequest, RecurError
from server.pb import grpc_service_pb2 as pb
from server.types import UNNUMBERED, Array

# More outlines than this are not remembered: a client that makes up new ones takes no memory and slows nobody down.
OUTLINES = 1024
# And no more than this of whole requests but for their tensors.
HEADS = 4096
# Of one length, requests of so many more outlines are looked for than the last.
FIRSTS = 3
RAW_TAG = b"\x3a"
INT64, UINT64, TEXT = 0x10, 0x28, 0x1A
INTEGERS = (INT64, UINT64)
# The parameters whose values are cut out: how name and tag of the value stand on the wire, and the kinds it may be of.
CUT = tuple(
    (name, b"\x0a" + varint(len(name)) + name.encode() + b"\x12", kinds)
    for name, kinds in (
        ("sequence_id", (INT64, UINT64, TEXT)),
        ("recur_step", INTEGERS),
        ("recur_incarnation", (TEXT,)),
    )
)

Value: TypeAlias = int | str


class Cut(NamedTuple):
    """A request up to its tensors' bytes, without the values of some parameters.

    Attributes:
        outline: what is left.
        values: by the parameter's name.
        places: where each was.
    """

    outline: bytes
    values: dict[str, Value]
    places: Sequence[tuple[int, int, str]]


class Field(NamedTuple):
    """A tensor of an outline.

    Attributes:
        dtype: NumPy's; None for BYTES.
        first, stop: where its bytes are, counted from the first byte of all tensors.
    """

    name: str
    dtype: np.dtype | None
    shape: tuple[int, ...]
    first: int
    stop: int


class Template(NamedTuple):
    """How the tensors of an outline are read for one model."""

    manifest: Manifest
    inputs: Sequence[Field]
    reserved: Sequence[Field]
    rows: int
    time: int
    outputs: Sequence[TensorSpec]


class Outline(msgspec.Struct, eq=False):
    """What requests of one outline have in common.

    Attributes:
        frames: what stands between the tensors' bytes, and where, counted from the first byte of all tensors.
        size: from that byte to the end.
        template: how they are read for the model that was asked last.
    """

    model_name: str
    model_version: str
    id: str
    parameters: Parameters
    fields: Sequence[Field]
    frames: Sequence[tuple[int, bytes]]
    size: int
    template: Template | None = None


class Request(msgspec.Struct, eq=False):
    """A request, read as far as it can be without its model.

    Attributes:
        first: of a request with an outline, where its tensors' bytes begin.
        wrong: what is wrong with its parameters; they have no meaning then.
    """

    model_name: str
    model_version: str
    id: str
    parameters: Parameters
    data: bytes
    outline: Outline | None = None
    first: int = 0
    wrong: RecurError | None = None

    def tensors(self, manifest: Manifest) -> tuple[Tensors, Sequence[TensorSpec]]:
        """Read the tensors, and which outputs are asked for; raises InvalidRequest."""
        outline = self.outline
        if outline is None or outline.template is None or outline.template.manifest is not manifest:
            message = pb.ModelInferRequest.FromString(self.data)
            tensors, outputs = decode_tensors(message, manifest), wanted_outputs(message, manifest)
            if outline is not None:
                outline.template = _template(outline, manifest, tensors, outputs)
            return tensors, outputs
        template = outline.template
        inputs = {field.name: self._array(field) for field in template.inputs}
        reserved = {field.name: self._values(field) for field in template.reserved}
        return tensors_of(inputs, template.rows, template.time, reserved), template.outputs

    def _array(self, field: Field) -> Array:
        count = math.prod(field.shape)
        return np.frombuffer(self.data, field.dtype, count, self.first + field.first).reshape(field.shape)

    def _values(self, field: Field) -> Array | Sequence[bytes]:
        if field.dtype is not None:
            return self._array(field)
        return split(field.name, self.data[self.first + field.first : self.first + field.stop], field.shape)


@final
class Reader:
    """Remembers outlines; what it reads does not depend on what it remembers."""

    def __init__(self) -> None:
        self._outlines: dict[bytes, Outline] = {}
        self._firsts: dict[int, tuple[int, ...]] = {}
        self._heads: dict[bytes, tuple[Outline, Parameters]] = {}

    def read(self, data: bytes) -> Request:
        """Read a request; raises InvalidRequest for bytes that are none."""
        for first in self._firsts.get(len(data), ()):
            head = data[:first]
            if (known := self._heads.get(head)) and _fits(known[0], data, first):
                return _request(known[0], known[1], data, first)
            cut = cut_out(data, first)
            if (outline := self._outlines.get(cut.outline)) and _fits(outline, data, first):
                if (parameters := _parameters(outline.parameters, cut.values)) is None:
                    break
                if parameters.step == UNNUMBERED:  # a step that is counted does not come again like this
                    self._remember(head, outline, parameters)
                return _request(outline, parameters, data, first)
        return self._parse(data)

    @property
    def remembered(self) -> int:
        """How many outlines and whole requests are remembered."""
        return len(self._outlines) + len(self._heads)

    def _remember(self, head: bytes, outline: Outline, parameters: Parameters) -> None:
        """Remember all of a request but its tensors' bytes: the next step of the sequence is like it."""
        if len(self._heads) >= HEADS:
            self._heads.clear()
        self._heads[head] = outline, parameters

    def _parse(self, data: bytes) -> Request:
        try:
            message = pb.ModelInferRequest.FromString(data)
        except DecodeError as error:
            raise InvalidRequest("the bytes are not a inference.ModelInferRequest") from error
        request = Request(message.model_name, message.model_version, message.id, Parameters(), data)
        try:
            request.parameters = decode_parameters(message)
        except RecurError as error:
            request.wrong = error
        else:
            request.outline, request.first = self._learn(data, message, request.parameters)
        return request

    def _learn(self, data: bytes, message: pb.ModelInferRequest, parameters: Parameters) -> tuple[Outline | None, int]:
        """Remember a request's outline, if cutting its values out is all that tells it from others like it."""
        if (tail := _tail(data, message)) is None:
            return None, 0
        cut = cut_out(data, tail.first)
        if not _is_cut_right(data, message, parameters, cut):
            return None, 0
        if len(self._outlines) >= OUTLINES:
            self._outlines.clear()
            self._firsts.clear()
            self._heads.clear()
        outline = Outline(
            message.model_name,
            message.model_version,
            message.id,
            parameters,
            tail.fields,
            tail.frames,
            len(data) - tail.first,
        )
        self._outlines[cut.outline] = outline
        self._firsts[len(data)] = (*self._firsts.get(len(data), ())[-FIRSTS:], tail.first)
        return outline, tail.first


def _request(outline: Outline, parameters: Parameters, data: bytes, first: int) -> Request:
    return Request(outline.model_name, outline.model_version, outline.id, parameters, data, outline, first)


def id_of(data: bytes) -> str:
    """Give the id of a request that nothing else is known of; "" where it has none."""
    try:
        return pb.ModelInferRequest.FromString(data).id
    except DecodeError:
        return ""


def cut_out(data: bytes, stop: int) -> Cut:
    """Cut the values of parameters out of a request up to its tensors' bytes, where they stand plainly."""
    places: list[tuple[int, int, str]] = []
    values: dict[str, Value] = {}
    for name, pattern, kinds in CUT:
        place = data.find(pattern, 0, stop)
        if place < 0:
            continue
        first = place + len(pattern) + 1
        last = first + data[first - 1]
        value = _value(data, first, last, kinds) if first < last <= stop else None
        if value is not None:  # an input may have a parameter's name
            values[name] = value
            places.append((first, last, name))
    places.sort()
    kept, after = [], 0
    for first, last, _ in places:
        kept.append(data[after:first])
        after = last
    kept.append(data[after:stop])
    return Cut(b"".join(kept), values, places)


def _value(data: bytes, first: int, last: int, kinds: Sequence[int]) -> Value | None:
    """The value of an InferParameter that has one field and no more."""
    kind = data[first]
    if kind not in kinds:
        return None
    if kind != TEXT:
        return read_varint(data, first + 1, last)
    if first + 1 == last or first + 2 + data[first + 1] != last:
        return None
    try:
        return data[first + 2 : last].decode()
    except UnicodeDecodeError:
        return None


def _parameters(common: Parameters, values: dict[str, Value]) -> Parameters | None:
    """The parameters of an outline with this request's own values; None where one is not allowed."""
    sequence, life = values.get("sequence_id", 0), values.get("recur_incarnation", "")
    step = values.get("recur_step", UNNUMBERED)
    if not all(is_name(value) for value in (sequence, life) if isinstance(value, str)):
        return None
    return Parameters(
        sequence_id=sequence or None,
        start=common.start,
        end=common.end,
        step=cast("int", step),
        life=life_of(cast("str", life)),
        priority=common.priority,
        timeout_seconds=common.timeout_seconds,
        wants_final=common.wants_final,
        peek=common.peek,
        notices=common.notices,
    )


def _fits(outline: Outline, data: bytes, first: int) -> bool:
    return len(data) - first == outline.size and all(
        data.startswith(frame, first + place) for place, frame in outline.frames
    )


class Tail(NamedTuple):
    """The tensors' bytes at the end of a request."""

    first: int
    fields: Sequence[Field]
    frames: Sequence[tuple[int, bytes]]


def _tail(data: bytes, message: pb.ModelInferRequest) -> Tail | None:
    """Find the tensors' bytes; None where they are not all of the end, one after another."""
    raws = list(message.raw_input_contents)
    if not raws or len(raws) != len(message.inputs):
        return None
    frames = [RAW_TAG + varint(len(raw)) for raw in raws]
    first = place = len(data) - sum(map(len, raws)) - sum(map(len, frames[1:]))
    if not data.startswith(frames[0], first - len(frames[0])):
        return None
    fields, between = [], []
    for number, (tensor, raw) in enumerate(zip(message.inputs, raws, strict=True)):
        if number:
            between.append((place - first, frames[number]))
            if not data.startswith(frames[number], place):
                return None
            place += len(frames[number])
        dtype = NUMPY.get(tensor.datatype)  # type: ignore[call-overload]  # what it lacks is BYTES or refused later
        fields.append(Field(tensor.name, dtype, tuple(tensor.shape), place - first, place - first + len(raw)))
        if not data.startswith(raw, place):
            return None
        place += len(raw)
    return Tail(first, fields, between)


def _template(outline: Outline, manifest: Manifest, tensors: Tensors, outputs: Sequence[TensorSpec]) -> Template:
    return Template(
        manifest,
        [field for field in outline.fields if field.name in tensors.inputs],
        [field for field in outline.fields if field.name not in tensors.inputs],
        tensors.rows,
        tensors.time,
        outputs,
    )


def _is_cut_right(data: bytes, message: pb.ModelInferRequest, parameters: Parameters, cut: Cut) -> bool:
    """Whether what was cut out is the parameters' values: changed there, they are read changed, and nothing else is."""
    if _parameters(parameters, cut.values) != parameters:
        return False
    for _, last, name in cut.places:
        changed = bytearray(data)
        changed[last - 1] ^= 1
        try:
            other = pb.ModelInferRequest.FromString(bytes(changed))
        except DecodeError:
            return False
        if other.parameters[name] == message.parameters[name]:
            return False
        other.parameters[name].CopyFrom(message.parameters[name])
        if other != message:
            return False
    return True
