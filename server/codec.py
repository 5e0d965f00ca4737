"""Between messages of the wire and arrays: every check that a request must pass before it is batched."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Literal

import msgspec
import numpy as np

from models.manifest import RESERVED, Manifest, TensorSpec
from models.tensors import NUMPY, DType, describe_shape
from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb
from server.types import Answer, Array, ModelKey, SequenceId

LENGTHS = "lengths"
LENGTHS_SPEC = TensorSpec(LENGTHS, "INT64", ())
LONGEST_ID = 256
MICROSECONDS = 1e-6
CHOICE: Literal["parameter_choice"] = "parameter_choice"

CONTENTS: dict[DType, str] = {
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
}


class Parameters(msgspec.Struct, frozen=True):
    """What a request says beside its tensors; `sequence_id` is None where nothing is kept."""

    sequence_id: SequenceId | None = None
    start: bool = False
    end: bool = False
    timeout_seconds: float = math.inf
    wants_final: bool = False


class Tensors(msgspec.Struct, frozen=True, eq=False):
    """A request's inputs `[rows, time, …]` by name, and the valid steps of each row."""

    inputs: Mapping[str, Array]
    lengths: Sequence[int]
    time: int


def decode_parameters(request: pb.ModelInferRequest) -> Parameters:
    """Read the request's parameters; raises InvalidRequest with the one that is wrong."""
    given: dict[str, Any] = {}
    parameters = request.parameters
    for name in parameters:  # items() of a protobuf map is several times slower
        if name in READERS:
            field, read = READERS[name]
            given[field] = read(name, parameters[name])
        elif name.startswith("recur_"):
            raise InvalidRequest(f"parameter '{name}' is not served by this version of Recur; leave it out")
    return Parameters(**given)


def decode_tensors(request: pb.ModelInferRequest, manifest: Manifest, *, kept: bool, max_batch: int) -> Tensors:
    """Read and check the request's tensors against the model's.

    Args:
        request: raw or typed tensors.
        manifest: names, datatypes and shapes that are expected.
        kept: whether the request is for a sequence, which has one row.
        max_batch: the most rows.

    Raises:
        InvalidRequest: names the tensor, what came and what was expected.
    """
    inputs: dict[str, Array] = {}
    for tensor, raw in _tensors(request):
        spec = _spec(tensor.name, manifest)
        if spec.name in inputs:
            raise InvalidRequest(f"input '{spec.name}' came twice")
        inputs[spec.name] = _decode(spec, tensor, raw)
    given_lengths = inputs.pop(LENGTHS, None)
    if len(inputs) < len(manifest.inputs):
        missing = next(spec for spec in manifest.inputs if spec.name not in inputs)
        raise InvalidRequest(f"input '{missing.name}' is missing; {_expected(missing)} is expected")
    rows, time = _common_axes(inputs, manifest)
    if rows > (1 if kept else max_batch):
        most = "a request for a sequence has one row" if kept else f"{max_batch} are the most"
        raise InvalidRequest(f"input '{manifest.inputs[0].name}' has {rows} rows; {most}")
    return Tensors(inputs, _lengths(given_lengths, rows, time), time)


def wanted_outputs(request: pb.ModelInferRequest, manifest: Manifest) -> Sequence[TensorSpec]:
    """Give the outputs to answer, all by default; raises InvalidRequest for one that the model has not."""
    if not request.outputs:
        return manifest.outputs
    specs = {spec.name: spec for spec in manifest.outputs}
    for output in request.outputs:
        if output.name not in specs:
            raise InvalidRequest(f"output '{output.name}' is not one of the model's: {', '.join(specs)}")
    return [specs[output.name] for output in request.outputs]


def encode_answer(
    response: pb.ModelInferResponse,
    request_id: str,
    model: ModelKey,
    specs: Sequence[TensorSpec],
    answer: Answer,
    *,
    kept: bool,
    final: bool,
) -> None:
    """Write an answer into a message, its tensors raw and in the order of `specs`."""
    response.model_name, response.model_version, response.id = model.name, str(model.version), request_id
    for spec in specs:
        array = answer.outputs[spec.name]
        response.outputs.add(name=spec.name, datatype=spec.dtype, shape=array.shape)
        response.raw_output_contents.append(array.tobytes())
    if kept:
        response.parameters["recur_step"].int64_param = answer.position
    if final:
        response.parameters["triton_final_response"].bool_param = True


def _sequence_id(name: str, parameter: pb.InferParameter) -> SequenceId | None:
    kind = parameter.WhichOneof(CHOICE)
    if kind == "int64_param":
        return parameter.int64_param or None
    if kind == "uint64_param":
        return parameter.uint64_param or None
    if kind != "string_param":
        raise InvalidRequest(f"parameter '{name}' must be an integer or a string")
    text = parameter.string_param
    if len(text.encode()) > LONGEST_ID or "\0" in text:
        raise InvalidRequest(f"parameter '{name}' must be at most {LONGEST_ID} bytes of UTF-8 without NUL")
    return text or None


def _flag(name: str, parameter: pb.InferParameter) -> bool:
    if parameter.WhichOneof(CHOICE) != "bool_param":
        raise InvalidRequest(f"parameter '{name}' must be a boolean")
    return parameter.bool_param


def _timeout(name: str, parameter: pb.InferParameter) -> float:
    kind = parameter.WhichOneof(CHOICE)
    value = parameter.uint64_param if kind == "uint64_param" else parameter.int64_param
    if kind not in ("int64_param", "uint64_param") or value < 0:
        raise InvalidRequest(f"parameter '{name}' must be microseconds, an integer from 0")
    return value * MICROSECONDS if value else math.inf


# The parameters that are read: the field of Parameters, and who checks the value. Others may be there and are not read.
READERS: Mapping[str, tuple[str, Callable[[str, pb.InferParameter], SequenceId | float | None]]] = {
    "sequence_id": ("sequence_id", _sequence_id),
    "sequence_start": ("start", _flag),
    "sequence_end": ("end", _flag),
    "timeout": ("timeout_seconds", _timeout),
    "triton_enable_empty_final_response": ("wants_final", _flag),
}

Raw = bytes | None
Given = tuple[pb.ModelInferRequest.InferInputTensor, Raw]


def _tensors(request: pb.ModelInferRequest) -> Iterable[Given]:
    """The request's tensors, each with its raw bytes or None for typed contents."""
    tensors, raws = request.inputs, request.raw_input_contents
    count = len(raws)
    if not count:
        return zip(tensors, repeat(None))
    if count != len(tensors):
        raise InvalidRequest(f"{count} raw_input_contents came for {len(tensors)} inputs")
    return zip(tensors, raws)  # noqa: B905  their lengths were compared


def _spec(name: str, manifest: Manifest) -> TensorSpec:
    for spec in manifest.inputs:
        if spec.name == name:
            return spec
    if name == LENGTHS:
        return LENGTHS_SPEC
    if name in RESERVED:
        raise InvalidRequest(f"input '{name}' (many sequences in one request) is not served by this version of Recur")
    known = ", ".join((*(spec.name for spec in manifest.inputs), LENGTHS))
    raise InvalidRequest(f"input '{name}' is not one of the model's: {known}")


def _decode(spec: TensorSpec, tensor: pb.ModelInferRequest.InferInputTensor, raw: Raw) -> Array:
    if tensor.datatype != spec.dtype:
        raise InvalidRequest(
            f"input '{spec.name}' is {tensor.datatype or 'of no datatype'}; {_expected(spec)} is expected"
        )
    shape = tuple(tensor.shape)
    if len(shape) != len(spec.shape) + 1 or shape[2:] != spec.shape[1:]:  # batch and time are free
        raise InvalidRequest(f"input '{spec.name}' has shape {list(shape)}; {_expected(spec)} is expected")
    if min(shape) < 1:
        raise InvalidRequest(f"input '{spec.name}' has shape {list(shape)}; every axis must be at least 1")
    return _elements(spec, tensor, raw, math.prod(shape)).reshape(shape)


def _elements(spec: TensorSpec, tensor: pb.ModelInferRequest.InferInputTensor, raw: Raw, count: int) -> Array:
    dtype = NUMPY[spec.dtype]
    if raw is not None:
        if len(raw) != count * dtype.itemsize:
            raise InvalidRequest(
                f"input '{spec.name}' has {len(raw)} bytes; its shape {list(tensor.shape)} of {spec.dtype} "
                f"takes {count * dtype.itemsize}"
            )
        return np.frombuffer(raw, dtype)
    if spec.dtype not in CONTENTS:
        raise InvalidRequest(f"input '{spec.name}' is {spec.dtype}, which has no typed contents; send it raw")
    values = getattr(tensor.contents, CONTENTS[spec.dtype])
    if len(values) != count:
        raise InvalidRequest(
            f"input '{spec.name}' has {len(values)} {CONTENTS[spec.dtype]}; "
            f"its shape {list(tensor.shape)} takes {count}"
        )
    return _narrow(spec, values)


def _narrow(spec: TensorSpec, values: Sequence[bool | int | float]) -> Array:
    """Typed contents have no field for the small integers: they come as 32 bits and must fit."""
    try:
        return np.array(values, NUMPY[spec.dtype])
    except OverflowError as error:
        raise InvalidRequest(f"input '{spec.name}' has a value that does not fit {spec.dtype}") from error


def _common_axes(inputs: Mapping[str, Array], manifest: Manifest) -> tuple[int, int]:
    """Rows and time, which all inputs share."""
    first = manifest.inputs[0].name
    rows, time = inputs[first].shape[:2]
    if len(inputs) == 1:
        return rows, time
    for name, array in inputs.items():
        if array.shape[:2] != (rows, time):
            raise InvalidRequest(
                f"input '{name}' has {array.shape[0]} rows of {array.shape[1]} steps; "
                f"input '{first}' has {rows} rows of {time}"
            )
    return rows, time


def _lengths(given: Array | None, rows: int, time: int) -> Sequence[int]:
    if given is None:
        return (time,) * rows
    lengths: list[int] = given.tolist()
    if len(lengths) != rows:
        raise InvalidRequest(f"input '{LENGTHS}' has {len(lengths)} values for {rows} rows")
    if min(lengths) < 1 or max(lengths) > time:
        raise InvalidRequest(f"input '{LENGTHS}' must be from 1 to the time of the inputs, {time}")
    return lengths


def _expected(spec: TensorSpec) -> str:
    return f"{spec.dtype} {describe_shape(spec.shape)}"
