"""The client's values as messages and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tritonclient.grpc import service_pb2

from client.errors import InvalidRequest, SequenceGone
from client.messages import Notice, Request
from client.wire import decode, decode_streamed, encode

SIZES = (8, 16, 32, 64)
DTYPES = ["bool", "float16", "float32", "float64", *(f"{sign}{size}" for sign in ("int", "uint") for size in SIZES)]


def echoed(message):
    """The response that sends a request's tensors and parameters back."""
    response = service_pb2.ModelInferResponse(id=message.id, raw_output_contents=message.raw_input_contents)
    for tensor in message.inputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    for name, value in message.parameters.items():
        response.parameters[name].CopyFrom(value)
    return response


@given(st.sampled_from(DTYPES).flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(max_dims=4, max_side=3))))
def test_an_array_comes_back_bit_for_bit(array):
    reply = decode(echoed(encode(Request("m", {"x": array}), "7")))
    assert reply.id == "7"
    assert reply.outputs["x"].dtype == array.dtype
    assert reply.outputs["x"].shape == array.shape
    assert reply.outputs["x"].tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5))
def test_bytes_come_back_whatever_is_in_them(values):
    reply = decode(echoed(encode(Request("m", {"x": np.array([*values, b""], object)[None, :-1]}), "7")))
    assert reply.outputs["x"].tolist() == [values]


def test_an_array_that_is_a_view_is_written_in_its_own_order():
    view = np.arange(6, dtype=np.int64).reshape(2, 3).T
    assert decode(echoed(encode(Request("m", {"x": view}), ""))).outputs["x"].tolist() == view.tolist()


def test_parameters_keep_their_types_and_the_sequence_its_own():
    request = Request(
        "m", {}, version="3", sequence_id="a", start=True, parameters={"recur_step": 5, "recur_seed": True, "t": 0.5}
    )
    message = encode(request, "1", notices=True)
    assert (message.model_name, message.model_version) == ("m", "3")
    assert decode(echoed(message)).parameters == {
        "recur_step": 5, "recur_seed": True, "t": 0.5, "recur_notices": True,
        "sequence_id": "a", "sequence_start": True, "sequence_end": False,
    }  # fmt: skip
    assert message.parameters["recur_seed"].WhichOneof("parameter_choice") == "bool_param"
    assert not encode(Request("m", {}), "1").parameters


def test_a_stream_carries_replies_errors_and_notices():
    response = service_pb2.ModelStreamInferResponse()
    response.infer_response.id = "4"
    assert decode_streamed(response)[1].id == "4"
    response.infer_response.parameters["recur_notice"].string_param = "EXPIRED"
    response.infer_response.parameters["recur_code"].string_param = "NOT_FOUND"
    response.error_message = "[request id: 4] NOT_FOUND SEQUENCE_GONE: expired"
    request_id, error = decode_streamed(response)
    assert (request_id, type(error)) == ("4", SequenceGone)
    response.error_message, response.infer_response.id = "", ""
    assert decode_streamed(response) == ("", Notice("EXPIRED", {"recur_notice": "EXPIRED", "recur_code": "NOT_FOUND"}))


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["2020"], "M8"), np.array([1], ">i4")])
def test_a_datatype_that_the_protocol_lacks_is_named(array):
    with pytest.raises(InvalidRequest, match=f"input 'x' is of {array.dtype}".replace("[", r"\[")):
        encode(Request("m", {"x": array}), "1")


def test_numpys_scalars_are_parameters_as_pythons_are():
    given = {"i": np.int64(3), "b": np.bool_(True), "f": np.float32(0.5)}
    message = encode(Request("m", {}, sequence_id=np.int64(7), parameters=given), "1")
    read = decode(echoed(message)).parameters
    assert {name: read[name] for name in given} == {"i": 3, "b": True, "f": 0.5}
    assert (read["b"], read["sequence_id"]) == (True, 7)


@pytest.mark.parametrize("value", [2**70, None, "\ud800", [1]])
def test_a_parameter_that_the_protocol_cannot_hold_is_named(value):
    with pytest.raises(InvalidRequest, match=r"parameter 'recur_seed' is .* expected$"):
        encode(Request("m", {}, parameters={"recur_seed": value}), "1")


@pytest.mark.parametrize("named", [{"model": "\ud800"}, {"model": "m", "version": 3}])
def test_a_model_that_has_no_name_of_text_is_told(named):
    with pytest.raises(InvalidRequest, match="names of text are expected"):
        encode(Request(**{"inputs": {}, **named}), "1")
