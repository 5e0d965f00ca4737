import numpy as np
import pytest
from hypothesis import given

from models.manifest import TensorSpec
from models.tensors import NUMPY
from server.codec.answers import encode_answer, encode_many, encode_stream_answer
from server.errors import SequenceGone, SequencesFull
from server.pb import grpc_service_pb2 as pb
from server.types import Answer, ModelKey
from tests.server.codec.requests import specs_of, tensors

MODEL = ModelKey("m", 1)
OUTPUTS = (TensorSpec("y", "FP32", ("time", 2)), TensorSpec("z", "INT64", ("time",)))


def steps(*counts):
    return np.array(counts, np.int64)


def encoded(specs, answer, *, request_id="", model=MODEL, kept=False, final=False):
    written = encode_answer(request_id, model, specs, answer, kept=kept, final=final)
    return pb.ModelInferResponse.FromString(written)


@given(tensors())
def test_an_answer_decodes_back(tensor):
    dtype, array = tensor
    specs = specs_of(dtype, array)
    response = encoded(specs, Answer({"t": array}, steps(2)), request_id="7", model=ModelKey("m", 3))
    sent = response
    [output], [raw] = sent.outputs, sent.raw_output_contents
    back = np.frombuffer(raw, NUMPY[dtype]).reshape(output.shape)
    assert (sent.id, sent.model_name, sent.model_version) == ("7", "m", "3")
    assert (output.name, output.datatype) == ("t", dtype)
    np.testing.assert_array_equal(back, array)


def test_tensors_of_an_answer_are_raw_in_the_order_asked():
    answer = Answer({"y": np.zeros((1, 2, 2), np.float32), "z": np.array([[1, 2]])}, steps(2))
    specs = [OUTPUTS[1], OUTPUTS[0]]
    response = encoded(specs, answer)
    assert [output.name for output in response.outputs] == ["z", "y"]
    assert [len(raw) for raw in response.raw_output_contents] == [16, 16]
    assert np.frombuffer(response.raw_output_contents[0], np.int64).tolist() == [1, 2]


def test_an_answer_cut_out_of_a_batch_is_written_row_by_row():
    batch = np.arange(24, dtype=np.float32).reshape(2, 6, 2)
    answer = Answer({"y": batch[1:, :3]}, steps(3))
    response = encoded(OUTPUTS[:1], answer)
    assert np.frombuffer(response.raw_output_contents[0], np.float32).tolist() == [12, 13, 14, 15, 16, 17]


@pytest.mark.parametrize(("kept", "final"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_sequence_is_told_its_step_and_who_asks_is_told_the_end(kept, final):
    response = encoded((), Answer({}, steps(12)), kept=kept, final=final)
    told = {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in response.parameters.items()}
    assert told == ({"recur_step": 12} if kept else {}) | ({"triton_final_response": True} if final else {})


def test_a_stored_answer_is_told_to_be_one():
    for replayed in (True, False):
        answer = Answer({}, steps(12), np.array([replayed]))
        assert ("recur_replayed" in encoded((), answer, kept=True).parameters) is replayed
        assert "recur_replayed" not in encoded((), answer, kept=False).parameters


def test_a_stream_carries_an_answer_whole():
    written = encode_answer("7", MODEL, OUTPUTS[:1], Answer({"y": np.ones((1, 3, 2))}, steps(2)), kept=True, final=True)
    carried = pb.ModelStreamInferResponse.FromString(encode_stream_answer(written))
    assert carried.infer_response == pb.ModelInferResponse.FromString(written)
    assert carried.error_message == ""


def columns(response):
    return {
        output.name: (output.datatype, list(output.shape), raw)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def test_an_answer_to_many_has_the_outputs_and_then_what_became_of_each_row():
    errors = {2: SequencesFull("no room"), 0: SequenceGone("it has ended")}
    y = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    answer = Answer({"y": y, "z": np.zeros((3, 2), np.int64)}, steps(0, 7, 9), np.array([False, True, False]), errors)
    response = pb.ModelInferResponse.FromString(encode_many("r7", ModelKey("m", 3), OUTPUTS, answer, final=False))
    found = columns(response)
    assert (response.id, response.model_name, response.model_version) == ("r7", "m", "3")
    assert list(found) == ["y", "z", "sequence_status", "sequence_error", "recur_step", "recur_replayed"]
    assert found["y"] == ("FP32", [3, 2, 2], y.tobytes())
    assert found["sequence_status"] == ("INT32", [3], np.array([5, 0, 8], np.int32).tobytes())
    assert found["recur_step"] == ("INT64", [3], np.array([0, 7, 9]).tobytes())
    assert found["recur_replayed"] == ("BOOL", [3], b"\0\1\0")
    texts = [errors[0].text().encode(), b"", errors[2].text().encode()]
    expected = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    assert found["sequence_error"] == ("BYTES", [3], expected)
    assert texts[0] == b"NOT_FOUND SEQUENCE_GONE: it has ended"
    assert set(response.parameters) == set()


def test_an_answer_to_many_may_say_that_it_is_the_last():
    response = pb.ModelInferResponse.FromString(encode_many("", MODEL, (), Answer({}, steps(1, 2)), final=True))
    assert response.parameters["triton_final_response"].bool_param
    assert columns(response)["recur_replayed"] == ("BOOL", [2], b"\0\0")
