"""Requests for tests of the codec, tensor by tensor, and tensors of every datatype."""

from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.manifest import TensorSpec
from models.tensors import NUMPY


def add_tensor(request, name, dtype, array=None, *, shape=None, raw=None):
    request.inputs.add(name=name, datatype=dtype, shape=array.shape if shape is None else shape)
    request.raw_input_contents.append(array.tobytes() if raw is None else raw)


def bytes_tensor(request, name, values):
    raw = b"".join(len(value).to_bytes(4, "little") + value for value in values)
    add_tensor(request, name, "BYTES", shape=[len(values)], raw=raw)


def specs_of(dtype, array):
    return (TensorSpec("t", dtype, ("time", *array.shape[2:])),)


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(sorted(NUMPY)))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)) | st.tuples(*[st.integers(1, 3)] * 3))
    elements = {"allow_nan": True, "allow_infinity": True} if NUMPY[dtype].kind == "f" else None
    return dtype, draw(hnp.arrays(NUMPY[dtype], shape, elements=elements and hnp.from_dtype(NUMPY[dtype], **elements)))
