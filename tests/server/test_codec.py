import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.manifest import RESERVED, TensorSpec
from models.tensors import NUMPY
from server.codec import CONTENTS, decode_parameters, decode_tensors, encode_answer, wanted_outputs
from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb
from server.types import Answer, ModelKey
from tests.server.fakes import manifest

MAX_BATCH = 4
MODEL = ModelKey("m", 1)
TWO_INPUTS = manifest(
    inputs=(TensorSpec("x", "FP32", ("time", 2)), TensorSpec("mark", "INT8", ("time",))),
    outputs=(TensorSpec("y", "FP32", ("time", 2)), TensorSpec("z", "INT64", ("time",))),
)


def add_tensor(request, name, dtype, array=None, *, shape=None, raw=None):
    request.inputs.add(name=name, datatype=dtype, shape=array.shape if shape is None else shape)
    request.raw_input_contents.append(array.tobytes() if raw is None else raw)


def good_request(rows=1, time=3):
    request = pb.ModelInferRequest(model_name="adder")
    add_tensor(request, "x", "FP32", np.ones((rows, time, 2), np.float32))
    add_tensor(request, "mark", "INT8", np.ones((rows, time), np.int8))
    return request


def decode(request, *, kept=False):
    return decode_tensors(request, TWO_INPUTS, kept=kept, max_batch=MAX_BATCH)


def with_x(array=None, dtype="FP32", **options):
    request = pb.ModelInferRequest(model_name="adder")
    add_tensor(request, "x", dtype, array, **options)
    add_tensor(request, "mark", "INT8", np.ones((1, 3), np.int8))
    return request


def with_extra(name, dtype, array, rows=1, **options):
    request = good_request(rows)
    add_tensor(request, name, dtype, array, **options)
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
    "length 0": (with_extra("lengths", "INT64", np.array([0])), ["'lengths'", "from 1", "3"]),
    "length negative": (with_extra("lengths", "INT64", np.array([-1])), ["'lengths'", "from 1", "3"]),
    "length over time": (with_extra("lengths", "INT64", np.array([4])), ["'lengths'", "from 1", "3"]),
    "one bad length of two": (with_extra("lengths", "INT64", np.array([3, 4]), 2), ["'lengths'", "from 1", "3"]),
    "too many lengths": (with_extra("lengths", "INT64", np.array([3, 3])), ["'lengths'", "2 values", "1 rows"]),
    "too few lengths": (with_extra("lengths", "INT64", np.array([3]), 2), ["'lengths'", "1 values", "2 rows"]),
    "lengths of another datatype": (
        with_extra("lengths", "INT32", np.array([3], np.int32)),
        ["'lengths'", "INT32", "INT64 [batch]"],
    ),
    "lengths of another rank": (with_extra("lengths", "INT64", np.array([[3]])), ["'lengths'", "[1, 1]", "[batch]"]),
    "too many rows": (good_request(MAX_BATCH + 1), ["'x'", "5 rows", "4"]),
} | {
    f"reserved tensor {name}": (with_extra(name, "INT64", np.array([1])), [f"'{name}'", "not served"])
    for name in sorted(RESERVED)
}


@pytest.mark.parametrize(("request_", "words"), BAD.values(), ids=BAD.keys())
def test_a_bad_tensor_is_refused_with_what_came_and_what_was_expected(request_, words):
    with pytest.raises(InvalidRequest) as refused:
        decode(request_)
    assert [word for word in words if word not in refused.value.sentence] == [], refused.value.sentence


def test_a_request_for_a_sequence_has_one_row():
    with pytest.raises(InvalidRequest, match=r"'x' has 2 rows.*one row"):
        decode(good_request(2), kept=True)
    assert len(decode(good_request(1), kept=True).lengths) == 1


def test_rows_up_to_the_limit_pass():
    assert decode(good_request(MAX_BATCH)).inputs["x"].shape == (MAX_BATCH, 3, 2)


def test_lengths_are_the_rows_own():
    request = with_extra("lengths", "INT64", np.array([3, 1]), rows=2)
    tensors = decode(request)
    assert (list(tensors.lengths), tensors.time) == ([3, 1], 3)


def test_without_lengths_every_row_is_whole():
    assert list(decode(good_request(2)).lengths) == [3, 3]


def test_half_floats_have_no_typed_contents():
    half = manifest(inputs=(TensorSpec("x", "FP16", ("time",)),))
    request = pb.ModelInferRequest()
    request.inputs.add(name="x", datatype="FP16", shape=[1, 1]).contents.fp32_contents.append(1.0)
    with pytest.raises(InvalidRequest, match=r"'x'.*FP16.*raw"):
        decode_tensors(request, half, kept=False, max_batch=1)


def parameters(**values):
    request = pb.ModelInferRequest()
    for name, (field, value) in values.items():
        setattr(request.parameters[name], field, value)
    return request


def test_parameters_are_read():
    read = decode_parameters(
        parameters(
            sequence_id=("int64_param", 5),
            sequence_start=("bool_param", True),
            sequence_end=("bool_param", True),
            timeout=("int64_param", 1_500_000),
            triton_enable_empty_final_response=("bool_param", True),
            priority=("uint64_param", 3),
        )
    )
    assert (read.sequence_id, read.start, read.end, read.wants_final) == (5, True, True, True)
    assert read.timeout_seconds == pytest.approx(1.5)


def test_without_parameters_nothing_is_kept_and_nothing_is_overdue():
    read = decode_parameters(pb.ModelInferRequest())
    assert (read.sequence_id, read.start, read.end, read.timeout_seconds) == (None, False, False, float("inf"))


@pytest.mark.parametrize(("field", "value"), [("int64_param", 0), ("string_param", ""), ("uint64_param", 0)])
def test_the_id_of_nothing_is_no_sequence(field, value):
    assert decode_parameters(parameters(sequence_id=(field, value))).sequence_id is None


@pytest.mark.parametrize(("field", "value"), [("int64_param", -7), ("string_param", "é" * 128), ("string_param", "5")])
def test_ids_are_integers_and_strings(field, value):
    assert decode_parameters(parameters(sequence_id=(field, value))).sequence_id == value


def test_a_timeout_of_zero_is_none():
    assert decode_parameters(parameters(timeout=("int64_param", 0))).timeout_seconds == float("inf")


BAD_PARAMETERS = {
    "bool id": ("sequence_id", "bool_param", True, "integer or a string"),
    "float id": ("sequence_id", "double_param", 1.0, "integer or a string"),
    "long id": ("sequence_id", "string_param", "a" * 257, "256 bytes"),
    "long id in bytes": ("sequence_id", "string_param", "é" * 129, "256 bytes"),
    "NUL in an id": ("sequence_id", "string_param", "a\0b", "NUL"),
    "integer start": ("sequence_start", "int64_param", 1, "boolean"),
    "string end": ("sequence_end", "string_param", "true", "boolean"),
    "integer final flag": ("triton_enable_empty_final_response", "int64_param", 1, "boolean"),
    "negative timeout": ("timeout", "int64_param", -1, "microseconds"),
    "bool timeout": ("timeout", "bool_param", True, "microseconds"),
    "float timeout": ("timeout", "double_param", 1.0, "microseconds"),
    "string timeout": ("timeout", "string_param", "1s", "microseconds"),
} | {
    name: (name, "int64_param", 1, "not served")
    for name in ("recur_step", "recur_incarnation", "recur_peek", "recur_score", "recur_whatever")
}


@pytest.mark.parametrize(("name", "field", "value", "word"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS.keys())
def test_a_bad_parameter_is_refused_by_name(name, field, value, word):
    with pytest.raises(InvalidRequest, match=f"'{name}'.*{re.escape(word)}"):
        decode_parameters(parameters(**{name: (field, value)}))


@pytest.mark.parametrize("name", ["sequence_id", "sequence_start", "timeout"])
def test_a_parameter_without_a_value_is_refused_by_name(name):
    request = pb.ModelInferRequest()
    request.parameters[name].SetInParent()
    with pytest.raises(InvalidRequest, match=f"'{name}'"):
        decode_parameters(request)


def test_outputs_are_all_of_them_unless_some_are_named():
    request = pb.ModelInferRequest()
    assert [spec.name for spec in wanted_outputs(request, TWO_INPUTS)] == ["y", "z"]
    request.outputs.add(name="z")
    assert [spec.name for spec in wanted_outputs(request, TWO_INPUTS)] == ["z"]


def test_an_unknown_output_is_refused_with_the_ones_there_are():
    request = pb.ModelInferRequest()
    request.outputs.add(name="state.sum")
    with pytest.raises(InvalidRequest, match=r"'state.sum'.*y, z"):
        wanted_outputs(request, TWO_INPUTS)


def encoded(specs, answer, *, request_id="", model=MODEL, kept=False, final=False):
    response = pb.ModelInferResponse()
    encode_answer(response, request_id, model, specs, answer, kept=kept, final=final)
    return response


def specs_of(dtype, array):
    return (TensorSpec("t", dtype, ("time", *array.shape[2:])),)


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(sorted(NUMPY)))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)) | st.tuples(*[st.integers(1, 3)] * 3))
    elements = {"allow_nan": True, "allow_infinity": True} if NUMPY[dtype].kind == "f" else None
    return dtype, draw(hnp.arrays(NUMPY[dtype], shape, elements=elements and hnp.from_dtype(NUMPY[dtype], **elements)))


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
        decoded = decode_tensors(sent, described, kept=False, max_batch=3).inputs["t"]
        assert (decoded.dtype, decoded.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(decoded, array)


@given(tensors())
def test_an_answer_decodes_back(tensor):
    dtype, array = tensor
    specs = specs_of(dtype, array)
    response = encoded(specs, Answer({"t": array}, 2), request_id="7", model=ModelKey("m", 3))
    sent = pb.ModelInferResponse.FromString(response.SerializeToString())
    [output], [raw] = sent.outputs, sent.raw_output_contents
    back = np.frombuffer(raw, NUMPY[dtype]).reshape(output.shape)
    assert (sent.id, sent.model_name, sent.model_version) == ("7", "m", "3")
    assert (output.name, output.datatype) == ("t", dtype)
    np.testing.assert_array_equal(back, array)


def test_tensors_of_an_answer_are_raw_in_the_order_asked():
    answer = Answer({"y": np.zeros((1, 2, 2), np.float32), "z": np.array([[1, 2]])}, 2)
    specs = [TWO_INPUTS.outputs[1], TWO_INPUTS.outputs[0]]
    response = encoded(specs, answer)
    assert [output.name for output in response.outputs] == ["z", "y"]
    assert [len(raw) for raw in response.raw_output_contents] == [16, 16]
    assert np.frombuffer(response.raw_output_contents[0], np.int64).tolist() == [1, 2]


def test_an_answer_cut_out_of_a_batch_is_written_row_by_row():
    batch = np.arange(24, dtype=np.float32).reshape(2, 6, 2)
    answer = Answer({"y": batch[1:, :3]}, 3)
    response = encoded(TWO_INPUTS.outputs[:1], answer)
    assert np.frombuffer(response.raw_output_contents[0], np.float32).tolist() == [12, 13, 14, 15, 16, 17]


@pytest.mark.parametrize(("kept", "final"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_sequence_is_told_its_step_and_who_asks_is_told_the_end(kept, final):
    response = encoded((), Answer({}, 12), kept=kept, final=final)
    told = {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in response.parameters.items()}
    assert told == ({"recur_step": 12} if kept else {}) | ({"triton_final_response": True} if final else {})
