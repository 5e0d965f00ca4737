"""Writes answers: all that does not change from one to the next is encoded once."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from models.manifest import TensorSpec
from server.codec.varint import varint
from server.pb import grpc_service_pb2 as pb
from server.types import Answer, ModelKey

ID_TAG, RAW_TAG, ANSWER_TAG = b"\x1a", b"\x32", b"\x12"
# Map entries of the message's parameters: the entry's tag and length, the name, the value's tag and length, the value.
STEP = b"\x0a\x0arecur_step\x12"
REPLAYED = b"\x22\x14\x0a\x0erecur_replayed\x12\x02\x08\x01"
FINAL = b"\x22\x1b\x0a\x15triton_final_response\x12\x02\x08\x01"
# What became of each row.
TOLD = (("sequence_status", "INT32"), ("sequence_error", "BYTES"), ("recur_step", "INT64"), ("recur_replayed", "BOOL"))
# A text on the wire has its length, 4 bytes, before it.
NO_TEXT = bytes(4)

Meta = tuple[str, str, tuple[int, ...]]
Tensor = tuple[Meta, bytes]


def encode_answer(
    request_id: str, model: ModelKey, specs: Sequence[TensorSpec], answer: Answer, *, kept: bool, final: bool
) -> bytes:
    """Write a ModelInferResponse to one sequence, or to rows that are not kept.

    Args:
        request_id: echoed.
        model: the version that ran.
        specs: the outputs to write, in their order.
        answer: outputs `[rows, time, …]` by name.
        kept: whether a sequence is told its step.
        final: whether the answer is to say that it is the last.
    """
    parameters = [_step(answer.positions.item(0))] if kept else []
    if kept and answer.replayed is not None and answer.replayed.item(0):
        parameters.append(REPLAYED)
    if final:
        parameters.append(FINAL)
    metas, raws = _outputs(specs, answer)
    return _encode(request_id, _head(model, tuple(metas)), raws, parameters)


def encode_generated(
    request_id: str,
    model: ModelKey,
    tensors: Sequence[Tensor],
    position: int,
    *,
    reason: str,
    replayed: bool,
) -> bytes:
    """Write a ModelInferResponse for one generated step, or for all that a search found.

    Args:
        request_id: echoed.
        model: the version that ran.
        tensors: what it has: name, datatype and shape, and bytes, of each.
        position: steps that the sequence has had.
        reason: why it is the last; empty where it is not.
        replayed: whether it is given again.
    """
    parameters = [_step(position)]
    if replayed:
        parameters.append(REPLAYED)
    if reason:
        parameters += [_finish(reason), FINAL]
    head = _head(model, tuple(meta for meta, _ in tensors))
    return _encode(request_id, head, [raw for _, raw in tensors], parameters)


def text_tensor(name: str, texts: Sequence[bytes], shape: tuple[int, ...]) -> Tensor:
    """Write texts as a tensor of BYTES, each with its length before it."""
    return (name, "BYTES", shape), b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def encode_many(request_id: str, model: ModelKey, specs: Sequence[TensorSpec], answer: Answer, *, final: bool) -> bytes:
    """Write a ModelInferResponse to many sequences: the outputs, then what became of each row."""
    rows = len(answer.positions)
    metas, raws = _outputs(specs, answer)
    status, replayed = _all_well(rows)
    if answer.errors:
        status = _errors(answer, rows)
    if answer.replayed is not None:
        replayed = (answer.replayed.tobytes(),)
    raws += (*status, answer.positions.tobytes(), *replayed)
    return _encode(request_id, _head_of_many(model, tuple(metas), rows), raws, [FINAL] if final else [])


@lru_cache(maxsize=16)
def _finish(reason: str) -> bytes:
    parameter = pb.ModelInferResponse()
    parameter.parameters["recur_finish_reason"].string_param = reason
    return parameter.SerializeToString()


@lru_cache(maxsize=256)
def _all_well(rows: int) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Status and texts, and replays, of rows of which none is refused or comes again."""
    return (np.zeros(rows, np.int32).tobytes(), NO_TEXT * rows), (np.zeros(rows, np.bool_).tobytes(),)


def _errors(answer: Answer, rows: int) -> Sequence[bytes]:
    status, texts = np.zeros(rows, np.int32), [NO_TEXT] * rows
    for row, error in answer.errors.items():
        text = error.text().encode()
        status[row], texts[row] = error.code.value[0], len(text).to_bytes(4, "little") + text
    return status.tobytes(), b"".join(texts)


def encode_stream_answer(answer: bytes) -> bytes:
    """Write a ModelStreamInferResponse around a ModelInferResponse."""
    return b"".join((ANSWER_TAG, varint(len(answer)), answer))


def _outputs(specs: Sequence[TensorSpec], answer: Answer) -> tuple[list[Meta], list[bytes]]:
    arrays = [answer.outputs[spec.name] for spec in specs]
    metas: list[Meta] = [(spec.name, spec.dtype, array.shape) for spec, array in zip(specs, arrays, strict=True)]
    return metas, [array.tobytes() for array in arrays]


def _encode(request_id: str, head: bytes, raws: Sequence[bytes], parameters: Sequence[bytes]) -> bytes:
    pieces = [head, *parameters]
    if request_id:
        name = request_id.encode()
        pieces += (ID_TAG, varint(len(name)), name)
    for raw in raws:
        pieces += (RAW_TAG, varint(len(raw)), raw)
    return b"".join(pieces)


@lru_cache(maxsize=4096)
def _step(position: int) -> bytes:
    """The parameter that tells a sequence its step; many sequences go in step."""
    value = b"\x10" + varint(position)
    entry = STEP + varint(len(value)) + value
    return b"\x22" + varint(len(entry)) + entry


@lru_cache(maxsize=1024)
def _head_of_many(model: ModelKey, metas: Sequence[Meta], rows: int) -> bytes:
    """What all answers to many sequences begin with."""
    return _head(model, (*metas, *((name, dtype, (rows,)) for name, dtype in TOLD)))


@lru_cache(maxsize=1024)
def _head(model: ModelKey, metas: Sequence[Meta]) -> bytes:
    """What all answers of these shapes begin with; the other fields follow it, as the wire allows."""
    head = pb.ModelInferResponse(model_name=model.name, model_version=str(model.version))
    for name, dtype, shape in metas:
        head.outputs.add(name=name, datatype=dtype, shape=shape)
    return head.SerializeToString()
