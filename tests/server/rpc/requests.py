"""Requests as messages, and answers' tensors by name."""

import numpy as np

from models.tensors import NUMPY
from server.codec.tensors import CONTENTS
from server.pb import grpc_service_pb2 as pb
from tests.server.codec.requests import add_tensor, bytes_tensor
from tests.server.fakes import ADDER

FIELDS = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}


def one(*rows, id_="", model=ADDER.name, version="", lengths=None, outputs=(), **parameters):
    """Ask for one sequence, or for rows that are not kept, all of one length."""
    request = pb.ModelInferRequest(model_name=model, model_version=version, id=id_)
    add_tensor(request, "x", "FP32", np.array(rows, np.float32)[..., None])
    if lengths is not None:
        add_tensor(request, "lengths", "INT64", np.array(lengths))
    for name, value in parameters.items():
        setattr(request.parameters[name], FIELDS[type(value)], value)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def many(ids, rows, *, start=None, end=None, step=None, lives=None, timeout=None, parameters=None, **options):
    """Ask for many sequences; rows are padded to the longest, and lengths sent where they differ."""
    time = max(len(row) for row in rows)
    lengths = [len(row) for row in rows]
    padded = [[*row, *[7e7] * (time - len(row))] for row in rows]
    given = (parameters or {}) | ({} if timeout is None else {"timeout": timeout})
    request = one(*padded, lengths=None if min(lengths) == time else lengths, **given, **options)
    if isinstance(ids[0], int):
        add_tensor(request, "sequence_id", "INT64", np.array(ids))
    else:
        bytes_tensor(request, "sequence_id", [id_.encode() for id_ in ids])
    for name, flags in (("sequence_start", start), ("sequence_end", end)):
        if flags is not None:
            add_tensor(request, name, "BOOL", np.array(flags, np.bool_))
    if step is not None:
        add_tensor(request, "recur_step", "INT64", np.array(step))
    if lives is not None:
        bytes_tensor(request, "recur_incarnation", [life.encode() for life in lives])
    return request


def columns(response):
    """Give an answer's tensors by name, in its order; texts as a list."""
    found = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.datatype == "BYTES":
            found[output.name] = texts(raw)
        else:
            found[output.name] = np.frombuffer(raw, NUMPY[output.datatype]).reshape(output.shape)
    return found


def texts(raw):
    """Cut texts of which each has its length before it."""
    found, place = [], 0
    while place < len(raw):
        stop = place + 4 + int.from_bytes(raw[place : place + 4], "little")
        found.append(raw[place + 4 : stop].decode())
        place = stop
    return found


def as_typed(request):
    """Say the same with typed contents instead of raw bytes."""
    typed = pb.ModelInferRequest.FromString(request.SerializeToString())
    del typed.raw_input_contents[:]
    for tensor, raw in zip(typed.inputs, request.raw_input_contents, strict=True):
        if tensor.datatype == "BYTES":
            tensor.contents.bytes_contents.extend(text.encode() for text in texts(raw))
        else:
            values = np.frombuffer(raw, NUMPY[tensor.datatype]).tolist()
            getattr(tensor.contents, CONTENTS[tensor.datatype]).extend(values)
    return typed
