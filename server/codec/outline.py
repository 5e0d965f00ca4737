"""Outlines: what is left of a request when the values that differ from one to the next are cut out."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, cast

import msgspec
import numpy as np
from google.protobuf.message import DecodeError

from models.manifest import TensorSpec
from models.tensors import NUMPY
from server.codec.parameters import Parameters, is_name
from server.codec.tensors import Tensors
from server.codec.varint import read_varint, varint
from server.digest import life_of
from server.pb import grpc_service_pb2 as pb
from server.signature import Signature
from server.types import UNNUMBERED, Chunk

RAW_TAG = b"\x3a"
NAME_TAG, VERSION_TAG, ID_TAG = 0x0A, 0x12, 0x1A
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
        outline: what is left, and what was cut where in it.
        values: by the parameter's name.
        places: where each was.
    """

    outline: tuple[bytes, ...]
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


class Template(msgspec.Struct, eq=False):
    """How the tensors of an outline are read for one model.

    Attributes:
        like: what the model was asked by such a request that only went on with its sequences.
    """

    signature: Signature
    inputs: Sequence[Field]
    starting: Sequence[Field]
    reserved: Sequence[Field]
    rows: int
    time: int
    outputs: Sequence[TensorSpec]
    like: Chunk | None = None


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


def cut_out(data: bytes, stop: int) -> Cut:
    """Cut the values of parameters out of a request up to its tensors' bytes, where they stand plainly."""
    places: list[tuple[int, int, str]] = []
    values: dict[str, Value] = {}
    first, last = _id_place(data, stop)
    if (request_id := _text(data[first:last])) is not None and last:
        values["id"] = request_id
        places.append((first, last, "id"))
    after_id = last
    for name, pattern, kinds in CUT:
        place = data.find(pattern, after_id, stop)
        first = place + len(pattern) + 1
        if place < 0 or first > stop:  # what is no message may end right after a name
            continue
        last = first + data[first - 1]
        value = _value(data, first, last, kinds) if first < last <= stop else None
        if value is not None:  # an input may have a parameter's name
            values[name] = value
            places.append((first, last, name))
    places.sort()
    kept, after = [], 0
    for first, last, name in places:
        kept += [data[after:first], name.encode()]
        after = last
    kept.append(data[after:stop])
    return Cut(tuple(kept), values, places)


def _id_place(data: bytes, stop: int) -> tuple[int, int]:
    """Where the request's id stands, the third field, after the model's name and version; (0, 0) where it has none."""
    place = 0
    for tag in (NAME_TAG, VERSION_TAG):
        if place + 1 < stop and data[place] == tag and data[place + 1] < 0x80:
            place += 2 + data[place + 1]
    if place + 1 >= stop or data[place] != ID_TAG or data[place + 1] >= 0x80:
        return 0, 0
    first, last = place + 2, place + 2 + data[place + 1]
    return (first, last) if first < last <= stop else (0, 0)


def _value(data: bytes, first: int, last: int, kinds: Sequence[int]) -> Value | None:
    """The value of an InferParameter that has one field and no more."""
    kind = data[first]
    if kind not in kinds:
        return None
    if kind != TEXT:
        return read_varint(data, first + 1, last)
    if first + 1 == last or first + 2 + data[first + 1] != last:
        return None
    return _text(data[first + 2 : last])


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def fits(outline: Outline, data: bytes, first: int) -> bool:
    """Whether the tensors' bytes of a request, from `first` on, stand as the outline has them."""
    if len(data) - first != outline.size:
        return False
    return not outline.frames or all(data.startswith(frame, first + place) for place, frame in outline.frames)


class Tail(NamedTuple):
    """The tensors' bytes at the end of a request."""

    first: int
    fields: Sequence[Field]
    frames: Sequence[tuple[int, bytes]]


def tail_of(data: bytes, message: pb.ModelInferRequest) -> Tail | None:
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


def template_of(outline: Outline, signature: Signature, tensors: Tensors, outputs: Sequence[TensorSpec]) -> Template:
    """Tell how requests of an outline are read for a model, by one that was read."""
    by_name = {field.name: field for field in outline.fields}
    return Template(
        signature,
        [by_name[name] for name in tensors.inputs],
        [by_name[name] for name in tensors.starting],
        [field for name, field in by_name.items() if name not in tensors.inputs and name not in tensors.starting],
        tensors.rows,
        tensors.time,
        outputs,
    )


def is_cut_right(data: bytes, message: pb.ModelInferRequest, parameters: Parameters, cut: Cut) -> bool:
    """Whether what was cut out is the parameters' values: changed there, they are read changed, and nothing else is."""
    if parameters_of(parameters, cut.values) != parameters or cut.values.get("id", message.id) != message.id:
        return False
    for _, last, name in cut.places:
        changed = bytearray(data)
        changed[last - 1] ^= 1
        try:
            other = pb.ModelInferRequest.FromString(bytes(changed))
        except DecodeError:
            return False
        if not _is_changed_back(other, message, name):
            return False
    return True


def _is_changed_back(other: pb.ModelInferRequest, message: pb.ModelInferRequest, name: str) -> bool:
    """Whether two messages differ, in what goes by a name alone."""
    if other == message:
        return False
    if name == "id":
        other.id = message.id
    else:
        other.parameters[name].CopyFrom(message.parameters[name])
    return bool(other == message)


def parameters_of(common: Parameters, values: dict[str, Value]) -> Parameters | None:
    """The parameters of an outline with this request's own values; None where one is not allowed."""
    sequence, life = values.get("sequence_id", 0), values.get("recur_incarnation", "")
    step = values.get("recur_step", UNNUMBERED)
    if not all(is_name(value) for value in (sequence, life) if isinstance(value, str)):
        return None
    return msgspec.structs.replace(
        common, sequence_id=sequence or None, step=cast("int", step), life=life_of(cast("str", life))
    )
