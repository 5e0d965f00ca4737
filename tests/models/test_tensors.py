from typing import get_args

import pytest

from models.tensors import NUMPY, ONNX_RUNTIME, DType, describe_shape, fixed_shape


def test_every_datatype_has_its_name_in_numpy_and_in_onnx_runtime():
    assert set(get_args(DType)) == NUMPY.keys() == ONNX_RUNTIME.keys()
    assert len(set(NUMPY.values())) == len(set(ONNX_RUNTIME.values())) == len(NUMPY)


@pytest.mark.parametrize(
    ("shape", "fixed", "described"),
    [((), (), "[batch]"), (("time", 32), (1, 32), "[batch, time, 32]"), ((2, "nodes"), (2, 1), "[batch, 2, nodes]")],
)
def test_shapes_are_fixed_and_described(shape, fixed, described):
    assert (fixed_shape(shape), describe_shape(shape)) == (fixed, described)


def test_a_shape_can_be_described_without_its_batch_axis():
    assert describe_shape(("time", 32), batched=False) == "[time, 32]"
