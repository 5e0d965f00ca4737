"""A request's tensors as arrays, checked against the model's."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

import msgspec
import numpy as np

from models.manifest import TensorSpec
from models.tensors import NUMPY, DType, describe_shape, fits
from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb
from server.signature import LENGTHS, Signature
from server.types import Array, Arrays, Ints
from server.vocabulary import Vocabulary

# Tensors of requests for many sequences, `[rows]` each; a name may come in more than one datatype.
BYTES = "BYTES"
RESERVED: Mapping[str, tuple[str, ...]] = {
    LENGTHS: ("INT64",),
    "sequence_id": ("INT64", BYTES),
    "sequence_start": ("BOOL",),
    "sequence_end": ("BOOL",),
    "recur_step": ("INT64",),
    "recur_incarnation": (BYTES,),
}

# Parameters of a tensor that Triton reads; others, as binary_data, change nothing here.
NOT_SERVED = frozenset({"classification", "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"})

CONTENTS: dict[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


class Tensors(msgspec.Struct, frozen=True, eq=False):
    """A request's arrays.

    Attributes:
        inputs: the model's, by name, `[rows, time, …]`.
        starting: what its start graph takes, by name, `[rows, …]`; empty where none came.
        rows, time: what they share; a model without a time axis does one step, and `starting` alone is none.
        lengths: valid steps of each row, `[rows]`; None where all are whole.
        reserved: those of requests for many sequences, by name, `[rows]`.
        as_text: whether an input came as text, and is to be answered so.
    """

    inputs: Arrays
    starting: Arrays
    rows: int
    time: int
    lengths: Ints | None
    reserved: Mapping[str, Array | Sequence[bytes]]
    as_text: bool = False

    def valid(self, name: str) -> Array:
        """Give the steps of an input that are not padding, `[rows, time, …]` or `[steps, …]`."""
        array = self.inputs[name]
        return array if self.lengths is None else array[np.arange(self.time) < self.lengths[:, None]]


Given = pb.ModelInferRequest.InferInputTensor
Raw = bytes | None


def decode_tensors(request: pb.ModelInferRequest, signature: Signature) -> Tensors:
    """Read and check the request's tensors against the model's.

    Args:
        request: raw or typed tensors.
        signature: names, datatypes and shapes that are expected.

    Raises:
        InvalidRequest: names the tensor, what came and what was expected.
    """
    given: dict[str, Array] = {}
    reserved: dict[str, Array | Sequence[bytes]] = {}
    as_text = False
    for tensor, raw in _tensors(request):
        name = tensor.name
        _check_parameters(f"input '{name}'", tensor.parameters)
        if name in given or name in reserved:
            raise InvalidRequest(f"input '{name}' came twice")
        if (spec := _spec(name, signature)) is None:
            reserved[name] = _decode_reserved(tensor, raw)
        elif tensor.datatype == BYTES and name in signature.texts:
            given[name], as_text = _decode_text(spec, tensor, raw, signature.texts[name]), True
        else:
            given[name] = _decode(spec, tensor, raw)
    starting = _all_or_none(signature.starting, given)
    inputs = _all_or_none(signature.inputs, given)
    if signature.inputs and not inputs and not starting:
        raise _missing(signature.inputs[0])
    rows, time = _common_axes(signature, given, reserved)
    for name, values in reserved.items():
        if len(values) != rows:
            raise InvalidRequest(f"input '{name}' has {len(values)} values for {rows} rows")
    return tensors_of(inputs, starting, rows, time if inputs or not starting else 0, reserved, as_text=as_text)


def tensors_of(
    inputs: Arrays,
    starting: Arrays,
    rows: int,
    time: int,
    reserved: dict[str, Array | Sequence[bytes]],
    *,
    as_text: bool = False,
) -> Tensors:
    """Put arrays together that were checked."""
    given = reserved.pop(LENGTHS, None)
    lengths = None if given is None else np.asarray(given, np.int64)
    return Tensors(inputs, starting, rows, time, lengths, reserved, as_text)


def wanted_outputs(request: pb.ModelInferRequest, signature: Signature) -> Sequence[TensorSpec]:
    """Give the outputs to answer, all by default; raises InvalidRequest for one that the model has not."""
    if not request.outputs:
        return signature.outputs
    specs = {spec.name: spec for spec in signature.outputs}
    for output in request.outputs:
        if output.name not in specs:
            raise InvalidRequest(f"output '{output.name}' is not one of the model's: {', '.join(specs)}")
        _check_parameters(f"output '{output.name}'", output.parameters)
    return [specs[output.name] for output in request.outputs]


def _check_parameters(what: str, parameters: Iterable[str]) -> None:
    """Refuse what would change the answer: shared memory, classification."""
    for name in parameters:
        if name in NOT_SERVED:
            raise InvalidRequest(f"{what} has the parameter '{name}', which Recur does not serve; leave it out")


def _tensors(request: pb.ModelInferRequest) -> Iterable[tuple[Given, Raw]]:
    """The request's tensors, each with its raw bytes or None for typed contents."""
    tensors, raws = request.inputs, request.raw_input_contents
    count = len(raws)
    if not count:
        return zip(tensors, repeat(None))
    if count != len(tensors):
        raise InvalidRequest(f"{count} raw_input_contents came for {len(tensors)} inputs")
    for tensor in tensors:
        if tensor.HasField("contents"):
            raise InvalidRequest(f"input '{tensor.name}' came both raw and as typed contents; give one")
    return zip(tensors, raws)  # noqa: B905  their lengths were compared


def _all_or_none(specs: Sequence[TensorSpec], given: Arrays) -> dict[str, Array]:
    """The arrays of some tensors in the model's order; raises InvalidRequest where only a part of them came."""
    came = {spec.name: given[spec.name] for spec in specs if spec.name in given}
    if came and len(came) < len(specs):
        raise _missing(next(spec for spec in specs if spec.name not in came))
    return came


def _missing(spec: TensorSpec) -> InvalidRequest:
    return InvalidRequest(f"input '{spec.name}' is missing; {_expected(spec)} is expected")


def _spec(name: str, signature: Signature) -> TensorSpec | None:
    """The model's input of that name; None for a reserved one."""
    for spec in (*signature.inputs, *signature.starting):
        if spec.name == name:
            return spec
    if name not in RESERVED:
        known = ", ".join((*(spec.name for spec in (*signature.inputs, *signature.starting)), LENGTHS))
        raise InvalidRequest(f"input '{name}' is not one of the model's: {known}")
    return None


def _decode(spec: TensorSpec, tensor: Given, raw: Raw) -> Array:
    if tensor.datatype != spec.dtype:
        came = tensor.datatype or "of no datatype"
        raise InvalidRequest(f"input '{spec.name}' is {came}; {_expected(spec)} is expected")
    shape = _shape(spec, tensor)
    return _elements(spec.name, spec.dtype, tensor, raw, math.prod(shape)).reshape(shape)


def _decode_text(spec: TensorSpec, tensor: Given, raw: Raw, vocabulary: Vocabulary) -> Array:
    """Read symbols that came as text; raises InvalidRequest for one that the model does not know."""
    shape = _shape(spec, tensor)
    count = [math.prod(shape)]
    given = list(tensor.contents.bytes_contents)
    texts = _counted(spec.name, given, count) if raw is None else split(spec.name, raw, count)
    return vocabulary.indices(spec.name, texts).astype(NUMPY[spec.dtype]).reshape(shape)


def _shape(spec: TensorSpec, tensor: Given) -> tuple[int, ...]:
    """The shape of an input; raises InvalidRequest where it is not as expected."""
    shape = tuple(tensor.shape)
    if not fits(shape[1:], spec.shape):
        raise InvalidRequest(f"input '{spec.name}' has shape {list(shape)}; {_expected(spec)} is expected")
    if min(shape) < 1:
        raise InvalidRequest(f"input '{spec.name}' has shape {list(shape)}; every axis must be at least 1")
    return shape


def _decode_reserved(tensor: Given, raw: Raw) -> Array | Sequence[bytes]:
    name, dtype, shape = tensor.name, tensor.datatype, tuple(tensor.shape)
    if dtype not in RESERVED[name]:
        expected = " or ".join(RESERVED[name])
        raise InvalidRequest(f"input '{name}' is {dtype or 'of no datatype'}; {expected} [batch] is expected")
    if len(shape) != 1 or shape[0] < 1:
        raise InvalidRequest(f"input '{name}' has shape {list(shape)}; [batch] is expected, of at least 1")
    if dtype != BYTES:
        return _elements(name, dtype, tensor, raw, shape[0])  # type: ignore[arg-type]  # RESERVED has no others
    return split(name, raw, shape) if raw is not None else _counted(name, list(tensor.contents.bytes_contents), shape)


def _elements(name: str, dtype: DType, tensor: Given, raw: Raw, count: int) -> Array:
    numpy_dtype = NUMPY[dtype]
    if raw is not None:
        if len(raw) != count * numpy_dtype.itemsize:
            raise InvalidRequest(
                f"input '{name}' has {len(raw)} bytes; its shape {list(tensor.shape)} of {dtype} "
                f"takes {count * numpy_dtype.itemsize}"
            )
        return np.frombuffer(raw, numpy_dtype)
    if dtype not in CONTENTS:
        raise InvalidRequest(f"input '{name}' is {dtype}, which has no typed contents; send it raw")
    values = getattr(tensor.contents, CONTENTS[dtype])
    if len(values) != count:
        raise InvalidRequest(
            f"input '{name}' has {len(values)} {CONTENTS[dtype]}; its shape {list(tensor.shape)} takes {count}"
        )
    try:
        return np.array(values, numpy_dtype)
    except OverflowError as error:  # the small integers have no field of their own: they come as 32 bits and must fit
        raise InvalidRequest(f"input '{name}' has a value that does not fit {dtype}") from error


def split(name: str, raw: bytes, shape: Sequence[int]) -> Sequence[bytes]:
    """Cut values of BYTES, of which each has its length, 4 bytes, before it; raises InvalidRequest."""
    values, place = [], 0
    while place < len(raw):
        stop = place + 4 + int.from_bytes(raw[place : place + 4], "little")
        if stop > len(raw) or place + 4 > len(raw):
            raise InvalidRequest(f"input '{name}' is not values of BYTES, each with its length in 4 bytes before it")
        values.append(raw[place + 4 : stop])
        place = stop
    return _counted(name, values, shape)


def _counted(name: str, values: Sequence[bytes], shape: Sequence[int]) -> Sequence[bytes]:
    if len(values) != shape[0]:
        raise InvalidRequest(f"input '{name}' has {len(values)} values; its shape {list(shape)} takes {shape[0]}")
    return values


def _common_axes(
    signature: Signature, given: Arrays, reserved: Mapping[str, Array | Sequence[bytes]]
) -> tuple[int, int]:
    """Rows, which all inputs share, and time, which all share that have it; 1 where none has."""
    specs = [spec for spec in (*signature.inputs, *signature.starting) if spec.name in given]
    if not specs:
        return len(next(iter(reserved.values()), b"1")), 1
    first = specs[0]
    rows, time = len(given[first.name]), None
    for spec in specs:
        shape, timed = given[spec.name].shape, spec in signature.inputs and spec.is_timed
        if shape[0] != rows or (timed and time not in (None, shape[1])):
            steps = f" of {shape[1]} steps" if timed else ""
            raise InvalidRequest(
                f"input '{spec.name}' has {shape[0]} rows{steps}; input '{first.name}' has {rows} rows of {time or 1}"
            )
        time = shape[1] if timed else time
    return rows, time or 1


def _expected(spec: TensorSpec) -> str:
    return f"{spec.dtype} {describe_shape(spec.shape)}"
