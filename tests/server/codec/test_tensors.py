import numpy as np
import pytest
from hypothesis import given

from models.manifest import TensorSpec
from server.codec.tensors import CONTENTS, decode_tensors, wanted_outputs
from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb
from tests.server.codec.requests import add_tensor, bytes_tensor, specs_of, tensors
from tests.server.fakes import manifest, signature

TWO_INPUTS = manifest(
    inputs=(TensorSpec("x", "FP32", ("time", 2)), TensorSpec("mark", "INT8", ("time",))),
    outputs=(TensorSpec("y", "FP32", ("time", 2)), TensorSpec("z", "INT64", ("time",))),
)


def good_request(rows=1, time=3):
    request = pb.ModelInferRequest(model_name="adder")
    add_tensor(request, "x", "FP32", np.ones((rows, time, 2), np.float32))
    add_tensor(request, "mark", "INT8", np.ones((rows, time), np.int8))
    return request


def decode(request):
    return decode_tensors(request, signature(TWO_INPUTS))


def with_x(array=None, dtype="FP32", **options):
    request = pb.ModelInferRequest(model_name="adder")
    add_tensor(request, "x", dtype, array, **options)
    add_tensor(request, "mark", "INT8", np.ones((1, 3), np.int8))
    return request


def with_extra(name, dtype, array=None, rows=1, **options):
    request = good_request(rows)
    add_tensor(request, name, dtype, array, **options)
    return request


def ids_twice():
    request = with_extra("sequence_id", "INT64", np.array([3]))
    add_tensor(request, "sequence_id", "INT64", np.array([4]))
    return request


def without(name):
    request = pb.ModelInferRequest(model_name="adder")
    for tensor, raw in zip(good_request().inputs, good_request().raw_input_contents, strict=True):
        if tensor.name != name:
            request.inputs.append(tensor)
            request.raw_input_contents.append(raw)
    return request


def typed(dtype, shape, **contents):
    request = pb.ModelInferRequest(model_name="adder")
    mark = request.inputs.add(name="mark", datatype="INT8", shape=[1, 3])
    mark.contents.int_contents.extend(contents.pop("mark", [1, 1, 1]))
    x = request.inputs.add(name="x", datatype=dtype, shape=shape)
    for field, values in contents.items():
        getattr(x.contents, field).extend(values)
    return request


def floats(*shape):
    return np.ones(shape, np.float32)


BAD = {
    "wrong datatype": (with_x(np.ones((1, 3, 2)), "FP64"), ["'x'", "FP64", "FP32 [batch, time, 2]"]),
    "no datatype": (with_x(floats(1, 3, 2), ""), ["'x'", "no datatype", "FP32"]),
    "unknown datatype": (with_x(floats(1, 3, 2), "FLOAT"), ["'x'", "FLOAT", "FP32"]),
    "rank too low": (with_x(floats(1, 6)), ["'x'", "[1, 6]", "[batch, time, 2]"]),
    "rank too high": (with_x(floats(1, 3, 2, 1)), ["'x'", "[1, 3, 2, 1]", "[batch, time, 2]"]),
    "no shape": (with_x(floats(1), shape=[]), ["'x'", "[]", "[batch, time, 2]"]),
    "wrong features": (with_x(floats(1, 3, 5)), ["'x'", "[1, 3, 5]", "[batch, time, 2]"]),
    "missing input": (without("mark"), ["'mark'", "missing", "INT8 [batch, time]"]),
    "no inputs": (pb.ModelInferRequest(), ["'x'", "missing"]),
    "extra input": (with_extra("more", "FP32", floats(1)), ["'more'", "x, mark, lengths"]),
    "state as an input": (with_extra("state.sum", "FP32", floats(1, 1)), ["'state.sum'", "not one of the model's"]),
    "input twice": (with_extra("x", "FP32", floats(1, 3, 2)), ["'x'", "twice"]),
    "bytes too few": (with_x(floats(1, 3, 2), raw=bytes(23)), ["'x'", "23 bytes", "takes 24"]),
    "bytes too many": (with_x(floats(1, 3, 2), raw=bytes(25)), ["'x'", "25 bytes", "takes 24"]),
    "huge shape, tiny body": (
        with_x(shape=[2**31, 2**31, 2], raw=bytes(8)),
        ["'x'", "8 bytes", "2147483648", str(2**31 * 2**31 * 2 * 4)],
    ),
    "shape whose product overflows": (with_x(shape=[2**62, 4, 2], raw=b""), ["'x'", "0 bytes", str(2**62 * 8 * 4)]),
    "zero rows": (with_x(floats(0, 3, 2)), ["'x'", "[0, 3, 2]", "at least 1"]),
    "zero steps": (with_x(floats(1, 0, 2)), ["'x'", "[1, 0, 2]", "at least 1"]),
    "negative rows": (with_x(shape=[-1, 3, 2], raw=bytes(24)), ["'x'", "[-1, 3, 2]", "at least 1"]),
    "two negative axes": (with_x(shape=[-1, -3, 2], raw=bytes(24)), ["'x'", "[-1, -3, 2]", "at least 1"]),
    "time of inputs differs": (with_x(floats(1, 4, 2)), ["'mark'", "3 steps", "'x'", "4"]),
    "rows of inputs differ": (with_x(floats(2, 3, 2)), ["'mark'", "1 rows", "'x'", "2 rows"]),
    "raw contents for one of two": (
        pb.ModelInferRequest(inputs=good_request().inputs, raw_input_contents=[bytes(24)]),
        ["1 raw_input_contents", "2 inputs"],
    ),
    "typed values too few": (typed("FP32", [1, 3, 2], fp32_contents=[1.0]), ["'x'", "1 fp32_contents", "takes 6"]),
    "typed values in another field": (typed("FP32", [1, 3, 2], fp64_contents=[1.0] * 6), ["'x'", "0 fp32_contents"]),
    "typed value too large": (
        typed("FP32", [1, 3, 2], fp32_contents=[1.0] * 6, mark=[1, 1, 128]),
        ["'mark'", "does not fit INT8"],
    ),
    "too many lengths": (with_extra("lengths", "INT64", np.array([3, 3])), ["'lengths'", "2 values", "1 rows"]),
    "too few lengths": (with_extra("lengths", "INT64", np.array([3]), 2), ["'lengths'", "1 values", "2 rows"]),
    "lengths of another datatype": (
        with_extra("lengths", "INT32", np.array([3], np.int32)),
        ["'lengths'", "INT32", "INT64 [batch]"],
    ),
    "lengths of another rank": (with_extra("lengths", "INT64", np.array([[3]])), ["'lengths'", "[1, 1]", "[batch]"]),
    "no lengths at all": (with_extra("lengths", "INT64", np.array([], np.int64)), ["'lengths'", "[0]", "[batch]"]),
    "ids of another datatype": (
        with_extra("sequence_id", "INT32", np.array([3], np.int32)),
        ["'sequence_id'", "INT32", "INT64 or BYTES [batch]"],
    ),
    "ids of no datatype": (with_extra("sequence_id", "", np.array([3])), ["'sequence_id'", "no datatype"]),
    "too many ids": (with_extra("sequence_id", "INT64", np.array([3, 4])), ["'sequence_id'", "2 values", "1 rows"]),
    "too few ids": (with_extra("sequence_id", "INT64", np.array([3]), 2), ["'sequence_id'", "1 values", "2 rows"]),
    "ids twice": (ids_twice(), ["'sequence_id'", "twice"]),
    "ids of a huge shape": (
        with_extra("sequence_id", "BYTES", shape=[2**40], raw=bytes(8)),
        ["'sequence_id'", "2 values", str(2**40)],
    ),
    "a length of bytes cut off": (
        with_extra("sequence_id", "BYTES", shape=[1], raw=b"\1\0"),
        ["'sequence_id'", "BYTES", "4 bytes"],
    ),
    "bytes shorter than their length": (
        with_extra("sequence_id", "BYTES", shape=[1], raw=b"\5\0\0\0abc"),
        ["'sequence_id'", "BYTES", "4 bytes"],
    ),
    "bytes after the last": (
        with_extra("sequence_id", "BYTES", shape=[1], raw=b"\1\0\0\0a\0"),
        ["'sequence_id'", "BYTES", "4 bytes"],
    ),
    "flags that are numbers": (
        with_extra("sequence_start", "INT64", np.array([1])),
        ["'sequence_start'", "INT64", "BOOL [batch]"],
    ),
    "steps that are texts": (
        with_extra("recur_step", "BYTES", shape=[1], raw=b"\1\0\0\0a"),
        ["'recur_step'", "BYTES", "INT64 [batch]"],
    ),
    "lives that are numbers": (
        with_extra("recur_incarnation", "INT64", np.array([1])),
        ["'recur_incarnation'", "INT64", "BYTES [batch]"],
    ),
}


@pytest.mark.parametrize(("request_", "words"), BAD.values(), ids=BAD.keys())
def test_a_bad_tensor_is_refused_with_what_came_and_what_was_expected(request_, words):
    with pytest.raises(InvalidRequest) as refused:
        decode(request_)
    assert [word for word in words if word not in refused.value.sentence] == [], refused.value.sentence


def test_lengths_are_the_rows_own():
    request = with_extra("lengths", "INT64", np.array([3, 1]), rows=2)
    tensors = decode(request)
    assert (list(tensors.lengths), tensors.rows, tensors.time) == ([3, 1], 2, 3)


def test_inputs_without_a_time_axis_are_one_step():
    described = manifest(inputs=(TensorSpec("x", "FP32", (2,)),))
    request = pb.ModelInferRequest()
    add_tensor(request, "x", "FP32", floats(3, 2))
    tensors_ = decode_tensors(request, signature(described))
    assert (tensors_.rows, tensors_.time, tensors_.inputs["x"].shape) == (3, 1, (3, 2))


def test_what_is_said_of_each_row_is_read_beside_the_models_own_inputs():
    request = good_request(2)
    bytes_tensor(request, "sequence_id", [b"a", b""])
    add_tensor(request, "sequence_start", "BOOL", np.array([True, False]))
    add_tensor(request, "recur_step", "INT64", np.array([0, 7]))
    bytes_tensor(request, "recur_incarnation", [b"life", b"other life"])
    reserved = decode(request).reserved
    assert reserved["sequence_id"] == [b"a", b""]
    assert reserved["recur_incarnation"] == [b"life", b"other life"]
    assert (list(reserved["sequence_start"]), list(reserved["recur_step"])) == ([True, False], [0, 7])
    assert decode(request).inputs.keys() == {"x", "mark"}


def test_typed_contents_say_the_same_of_each_row():
    request = pb.ModelInferRequest()
    x = request.inputs.add(name="x", datatype="FP32", shape=[1, 3, 2])
    x.contents.fp32_contents.extend([1.0] * 6)
    request.inputs.add(name="mark", datatype="INT8", shape=[1, 3]).contents.int_contents.extend([1, 1, 1])
    ids = request.inputs.add(name="sequence_id", datatype="BYTES", shape=[1])
    ids.contents.bytes_contents.append(b"a")
    request.inputs.add(name="sequence_end", datatype="BOOL", shape=[1]).contents.bool_contents.append(True)
    request.inputs.add(name="lengths", datatype="INT64", shape=[1]).contents.int64_contents.append(2)
    decoded = decode(request)
    assert decoded.reserved["sequence_id"] == [b"a"]
    assert list(decoded.reserved["sequence_end"]) == [True]
    assert list(decoded.lengths) == [2]


def test_half_floats_have_no_typed_contents():
    half = manifest(inputs=(TensorSpec("x", "FP16", ("time",)),))
    request = pb.ModelInferRequest()
    request.inputs.add(name="x", datatype="FP16", shape=[1, 1]).contents.fp32_contents.append(1.0)
    with pytest.raises(InvalidRequest, match=r"'x'.*FP16.*raw"):
        decode_tensors(request, signature(half))


def test_outputs_are_all_of_them_unless_some_are_named():
    request = pb.ModelInferRequest()
    assert [spec.name for spec in wanted_outputs(request, signature(TWO_INPUTS))] == ["y", "z"]
    request.outputs.add(name="z")
    assert [spec.name for spec in wanted_outputs(request, signature(TWO_INPUTS))] == ["z"]


def test_an_unknown_output_is_refused_with_the_ones_there_are():
    request = pb.ModelInferRequest()
    request.outputs.add(name="state.sum")
    with pytest.raises(InvalidRequest, match=r"'state.sum'.*y, z"):
        wanted_outputs(request, signature(TWO_INPUTS))


@given(tensors())
def test_raw_and_typed_contents_decode_to_the_same_array(tensor):
    dtype, array = tensor
    described = manifest(inputs=specs_of(dtype, array))
    raw = pb.ModelInferRequest()
    add_tensor(raw, "t", dtype, array)
    requests = [raw]
    if dtype in CONTENTS:
        typed_ = pb.ModelInferRequest()
        contents = typed_.inputs.add(name="t", datatype=dtype, shape=array.shape).contents
        getattr(contents, CONTENTS[dtype]).extend(array.flatten().tolist())
        requests.append(typed_)
    for request in requests:
        sent = pb.ModelInferRequest.FromString(request.SerializeToString())
        decoded = decode_tensors(sent, signature(described)).inputs["t"]
        assert (decoded.dtype, decoded.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize("name", ["classification", "shared_memory_region"])
def test_what_would_change_a_tensor_and_is_not_served_is_refused_by_name(name):
    request = pb.ModelInferRequest()
    add_tensor(request, "x", "FP32", floats(1, 1, 1))
    request.inputs[0].parameters[name].int64_param = 1
    with pytest.raises(InvalidRequest, match=f"input 'x' has the parameter '{name}'"):
        decode_tensors(request, signature(manifest()))
    asked = pb.ModelInferRequest()
    asked.outputs.add(name="y").parameters[name].int64_param = 1
    with pytest.raises(InvalidRequest, match=f"output 'y' has the parameter '{name}'"):
        wanted_outputs(asked, signature(manifest()))
